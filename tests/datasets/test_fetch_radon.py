import csv

import numpy as np
import pytest

from metaskl.datasets import _radon as radon
from metaskl.datasets import fetch_radon

HOUSE_COLUMNS = (
    "idnum,state,state2,stfips,zip,region,typebldg,floor,room,basement,windoor,rep,stratum,wave,"
    "starttm,stoptm,startdt,stopdt,activity,pcterr,adjwt,dupflag,zipflag,cntyfips,county"
)
COUNTY_COLUMNS = "stfips,ctfips,st,cty,lon,lat,Uppm"


def house(number, *, state, county, fips, activity, floor=0, basement="Y", wave=41):
    """A line of srrs2.dat: text in quotes and padded, numbers padded."""
    return (
        f'{number:5},"{state}","{state}",{27:2},"55748"," 5", 1, {floor}, 3,"{basement}"," "," 2",'
        f'" 4",{wave:3}, 930, 930,112987,120187,{activity:5}, 9.7, 1146.499190,1,0,{fips:3},'
        f'"{county:50}"'
    )


def write(folder, houses, counties):
    (folder / "srrs2.dat").write_text("\n".join([HOUSE_COLUMNS, *houses, ""]))
    (folder / "cty.dat").write_text("\n".join([COUNTY_COLUMNS, *counties, ""]))


def test_convert_three_houses(tmp_path):
    houses = [
        house(1, state="AZ", county="APACHE", fips=1, activity=0.3),
        house(2, state="MN", county="BECKER", fips=5, activity=0.0, floor=1, basement=" "),
        house(3, state="MN", county="AITKIN", fips=1, activity=2.2),
        house(4, state="MN", county="AITKIN", fips=1, activity=1.0, wave=7),
    ]
    counties = [
        " 4, 1,AZ,APACHE,-109.5,35.4,2.26437",
        "27, 1,MN,AITKIN,-93.415,46.608,0.502054",
        "27, 1,MN,AITKIN,-93.415,46.608,9.9",
        "27, 5,MN,BECKER,-95.674,46.935,1.0",
    ]
    write(tmp_path, houses, counties)
    arrays = radon.convert(tmp_path)
    assert list(arrays) == list(radon.SOURCE.columns)
    assert arrays["county"].tolist() == arrays["task"].tolist() == ["AITKIN", "AITKIN", "BECKER"]
    assert arrays["fips"].tolist() == [27001, 27001, 27005]
    assert arrays["floor"].tolist() == [0, 0, 1]
    assert arrays["basement"].tolist() == ["Y", "Y", ""]
    assert arrays["windoor"].tolist() == ["", "", ""]
    assert arrays["wave"].tolist() == [41, 7, 41]
    assert arrays["radon_pci_l"].tolist() == [2.2, 1.0, 0.0]
    # ln 2.2, ln 1 and, for a reading of zero, ln 0.1; ln 0.502054 and ln 1.
    assert arrays["log_radon"].tolist() == [0.788457, 0.0, -2.302585]
    assert arrays["log_uranium"].tolist() == [-0.689048, -0.689048, 0.0]


def test_convert_names_the_county_without_uranium(tmp_path):
    write(tmp_path, [house(1, state="MN", county="AITKIN", fips=1, activity=1)], [])
    with pytest.raises(KeyError, match="27001"):
        radon.convert(tmp_path)


def raw_radon(path):
    with path.open() as file:
        rows = list(csv.DictReader(file))
    houses = [
        f'{number:5},"MN","MN",27,"55748"," 5", {row["typebldg"]}, {row["floor"]}, {row["room"]},'
        f'"{row["basement"] or " "}"," "," 2"," 4", {row["wave"]}, 930, 930,112987,120187,'
        f"  {row['radon_pci_l']}, 9.7, 1146.499190,1,0,{int(row['fips']) - 27000:3},"
        f'"{row["county"]:50}"'
        for number, row in enumerate(rows, 5081)
    ]
    elsewhere = house(1, state="AZ", county="APACHE", fips=1, activity=0.3)
    uranium = {int(row["fips"]) - 27000: row["uranium_ppm"] for row in rows}
    counties = [f"27,{fips},MN,NAME,-93.4,46.6,{ppm}" for fips, ppm in sorted(uranium.items())]
    return {
        "srrs2.dat": "\n".join([HOUSE_COLUMNS, elsewhere, *houses, ""]).encode(),
        "cty.dat": "\n".join([COUNTY_COLUMNS, *counties, ""]).encode(),
    }


def test_rebuilt_from_source(rebuild):
    for bunch in rebuild(radon, fetch_radon, raw_radon):
        assert bunch.data.shape == (919, 2)


def test_facts(real):
    real("radon.csv")
    bunch = fetch_radon()
    floor = bunch.data[:, bunch.feature_names.index("floor")]
    assert len(bunch.target) == 919
    assert (floor == 0).sum() == 766
    slope, start = np.polyfit(floor, bunch.target, 1)
    assert (start, slope) == (pytest.approx(1.327, abs=5e-4), pytest.approx(-0.613, abs=5e-4))
    sizes = np.unique(bunch.groups, return_counts=True)[1]
    assert (len(sizes), sizes.min(), np.median(sizes), sizes.max()) == (85, 1, 5, 116)


def test_one_uranium_a_county_and_its_own_intercept(real):
    real("radon.csv")
    frame = fetch_radon(as_frame=True).frame
    counties = frame.groupby("county")
    assert (counties["log_uranium"].nunique() == 1).all()
    inside = frame[["floor", "log_radon"]] - counties[["floor", "log_radon"]].transform("mean")
    slope = (inside["floor"] * inside["log_radon"]).sum() / (inside["floor"] ** 2).sum()
    assert slope == pytest.approx(-0.721, abs=5e-4)


def test_frame_has_the_survey_and_data_do_not_leak(real):
    real("radon.csv")
    bunch = fetch_radon(as_frame=True)
    assert "radon_pci_l" in bunch.frame
    assert "radon_pci_l" not in bunch.data
    assert bunch.frame["basement"].isna().sum() == 41
