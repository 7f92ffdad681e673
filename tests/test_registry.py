import pickle
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from metaskl import _offers, registry
from metaskl.errors import AmbiguousLearnerError, PluginError, UnknownLearnerError
from metaskl.registry import get_learner, list_learners, register

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
BUILTINS = sorted(PROJECT["entry-points"]["metaskl.learners"])
GOOD = """
    from metaskl.learners import MetaLearner

    class Good(MetaLearner):
        metaskl_api = 1

        def adapt(self, X_support, y_support, weight=None):
            return y_support.mean()

        def predict(self, adapted, X_query):
            return adapted
"""
ABSTRACT = """
    from metaskl.learners import MetaLearner

    class Good(MetaLearner):
        metaskl_api = 1

        def adapt(self, X_support, y_support, weight=None):
            return y_support.mean()
"""
# What is raised is no Exception: pytest.skip at import, or an exit of some framework's own.
LEAVES = """
    class Leave(BaseException):
        pass

    raise Leave("not here")
"""
INSPECTED = """
    class Shy(type):
        @property
        def __mro__(cls):
            raise RuntimeError("do not look")

    class Good(metaclass=Shy):
        pass
"""
# Written for the installed version of the contract only because it inherits from a learner.
INHERITS = """
    from metaskl.learners.ridge_head import RidgeHead

    class Good(RidgeHead):
        pass
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a package, with real metadata, where Python and importlib.metadata find it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def install(name, entries, version="1.0", **modules):
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (info / "METADATA").write_text(metadata)
        (info / "entry_points.txt").write_text(f"[metaskl.learners]\n{entries}\n")
        for module, source in modules.items():
            (tmp_path / f"{module}.py").write_text(textwrap.dedent(source))

    yield install
    for module in set(sys.modules) - before:
        if str(getattr(sys.modules[module], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[module]


@pytest.fixture(autouse=True)
def _own_session(monkeypatch):
    monkeypatch.setattr(registry, "_session", {})


@pytest.fixture
def good_class():
    namespace = {"__name__": __name__}
    exec(textwrap.dedent(GOOD), namespace)
    return namespace["Good"]


def listed(**wanted):
    found = [i for i in list_learners() if all(getattr(i, k) == v for k, v in wanted.items())]
    assert len(found) == 1, found
    return found[0]


def python(code, tmp_path):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_builtins_are_entry_points_of_metaskl_itself():
    infos = [info for info in list_learners() if info.builtin]
    assert [info.name for info in infos] == BUILTINS
    assert {info.distribution for info in infos} == {"metaskl"}
    assert {info.status for info in infos} == {"available"}


@pytest.mark.parametrize("name", BUILTINS)
def test_every_builtin_loads(name):
    cls = get_learner(name)
    assert cls is get_learner(f"metaskl:{name}")
    assert cls.__module__ == f"metaskl.learners.{name}"


def test_a_good_plugin_is_listed_and_loads(install):
    install("metaskl-good", "good = plugin_good:Good", "2.3", plugin_good=GOOD)
    info = listed(name="good")
    assert (info.distribution, info.version, info.value) == (
        "metaskl-good",
        "2.3",
        "plugin_good:Good",
    )
    assert (info.builtin, info.status, info.usable_name) == (False, "available", "good")
    assert get_learner("good").__name__ == "Good"
    assert get_learner("Metaskl_Good:good") is get_learner("good")


def test_listing_imports_nothing(install, tmp_path):
    install("metaskl-loud", "loud = plugin_loud:Good", plugin_loud="raise SystemExit('imported')")
    code = """
        import sys
        from metaskl.registry import list_learners
        assert "loud" in [info.name for info in list_learners()]
        heavy = {"plugin_loud", "torch", "sklearn", "skorch", "metaskl.learners"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
    """
    done = python(code, tmp_path)
    assert done.returncode == 0, done.stderr


def test_two_plugins_with_one_name_clash(install):
    install("metaskl-b", "same = plugin_b:Good", plugin_b=GOOD)
    install("metaskl-a", "same = plugin_a:Good", plugin_a=GOOD)
    with pytest.raises(AmbiguousLearnerError, match="'metaskl-a:same' or 'metaskl-b:same'"):
        get_learner("same")
    assert get_learner("metaskl-a:same").__module__ == "plugin_a"
    assert get_learner("metaskl-b:same").__module__ == "plugin_b"
    assert listed(distribution="metaskl-a").status == "clash"
    assert listed(distribution="metaskl-b").usable_name == "metaskl-b:same"
    assert listed(distribution="metaskl-b").remark == (
        "another package has a learner of this name; ask for 'metaskl-b:same'"
    )


def test_builtins_win_over_plugins(install):
    install("aaa-first", "maml = plugin_thief:Good", plugin_thief=GOOD)
    assert get_learner("maml").__module__ == "metaskl.learners.maml"
    assert get_learner("aaa-first:maml").__module__ == "plugin_thief"
    assert listed(name="maml", builtin=True).status == "available"
    assert listed(name="maml", builtin=False).status == "shadowed"
    assert "metaskl itself has" in listed(name="maml", builtin=False).remark


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such"),
        ("def broken(:\n", "SyntaxError: "),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("1 / 0", "ZeroDivisionError: "),
        ("Other = 1", "AttributeError: module 'plugin_bad' has no attribute 'Good'"),
        ("Good = 1", "is not a learner, it is an object of type int, not a class"),
        ("Good = lambda: 1", "is not a learner, it is an object of type function, not a class"),
        ("class Good: metaskl_api = 1", "it does not derive from metaskl.learners.MetaLearner"),
        (LEAVES, "raised Leave: not here"),
        (INSPECTED, "raised RuntimeError: do not look"),
        (GOOD.replace("metaskl_api = 1", "metaskl_api = 2"), "metaskl_api = 2, while this"),
        (GOOD.replace("metaskl_api = 1", "metaskl_api = '1'"), "metaskl_api = '1', while this"),
        (GOOD.replace("metaskl_api = 1", ""), "it does not say metaskl_api = 1, the contract"),
        (INHERITS, "it does not say metaskl_api = 1, the contract"),
        (ABSTRACT, "it leaves predict abstract"),
    ],
)
def test_a_broken_plugin_is_named_and_stops_no_one_else(install, source, cause):
    install("metaskl-bad", "bad = plugin_bad:Good", "0.7", plugin_bad=source)
    install("metaskl-good", "good = plugin_good:Good", plugin_good=GOOD)
    assert listed(name="bad").status == "available"
    with pytest.raises(PluginError) as caught:
        get_learner("bad")
    assert cause in str(caught.value)
    assert "'bad' of metaskl-bad 0.7 cannot be used" in str(caught.value)
    assert "uninstall metaskl-bad 0.7" in str(caught.value)
    tried = {info.name: info for info in list_learners(load=True) if not info.builtin}
    assert tried["bad"].status == "broken"
    assert cause in tried["bad"].error
    assert (tried["good"].status, tried["good"].error) == ("available", None)


def test_an_import_error_keeps_its_cause(install):
    install("metaskl-bad", "bad = plugin_bad:Good", plugin_bad="1 / 0")
    with pytest.raises(PluginError) as caught:
        get_learner("bad")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_ctrl_c_while_a_plugin_imports_is_not_its_fault(install):
    install("metaskl-slow", "slow = plugin_slow:Good", plugin_slow="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        get_learner("slow")


@pytest.mark.parametrize("value", ["plugin_good", "!!", "plugin_good:", "a b:Good"])
def test_an_entry_point_without_a_class_is_refused(install, value):
    install("metaskl-odd", f"odd = {value}", plugin_good=GOOD)
    with pytest.raises(PluginError, match=r"must be 'package\.module:Class', not"):
        get_learner("odd")


def test_unreadable_entry_points_are_listed_and_stop_no_one_else(install, tmp_path):
    install("metaskl-junk", "a line that is no entry")
    info = listed(distribution="metaskl-junk")
    assert (info.name, info.status) == ("", "broken")
    assert "cannot be read (TypeError" in info.error
    with pytest.raises(UnknownLearnerError):
        get_learner("")
    folder = tmp_path / "metaskl_junk-1.0.dist-info"
    (folder / "entry_points.txt").write_bytes(b"\xff\xfe")
    folder.rename(tmp_path / "metaskl_junk-1.1.dist-info")  # nobody writes into one that is there
    assert "metaskl-junk" not in {info.distribution for info in list_learners()}


def test_a_folder_that_is_gone_hides_no_learner(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.syspath_prepend("")
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "maml" in [info.name for info in list_learners()]


def test_metadata_are_read_again_only_after_a_change(install, tmp_path):
    before = list_learners()
    reads = _offers._read.cache_info().misses
    assert list_learners() == before
    assert _offers._read.cache_info().misses == reads
    install("metaskl-late", "late = plugin_late:Good", plugin_late=GOOD)
    assert get_learner("late").__name__ == "Good"
    shutil.rmtree(tmp_path / "metaskl_late-1.0.dist-info")
    assert list_learners() == before


def test_of_two_versions_on_the_path_the_first_counts(install, tmp_path, monkeypatch):
    install("metaskl-twice", "twice = plugin_old:Good", "1.0", plugin_old=GOOD)
    newer = tmp_path / "newer"
    info = newer / "metaskl_twice-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: metaskl-twice\nVersion: 2.0\n")
    monkeypatch.syspath_prepend(str(newer))
    assert "twice" not in [info.name for info in list_learners()]


def test_an_unknown_name_lists_the_near_ones_and_all():
    with pytest.raises(UnknownLearnerError) as caught:
        get_learner("MAMLL")
    assert "got 'MAMLL'. Did you mean 'maml' or 'imaml'?" in str(caught.value)
    everything = str(caught.value).partition("Installed learners: ")[2]
    assert all(repr(name) in everything for name in BUILTINS)


def test_an_unknown_name_without_near_ones(install):
    install("metaskl-b", "same = plugin_b:Good", plugin_b=GOOD)
    install("metaskl-a", "same = plugin_a:Good", plugin_a=GOOD)
    with pytest.raises(UnknownLearnerError, match="'metaskl-a:same', 'metaskl-b:same'") as caught:
        get_learner("qqqq")
    assert "Did you mean" not in str(caught.value)


def test_no_installed_learner_at_all_says_so():
    message = str(UnknownLearnerError.for_name("maml", []))
    assert "Installed learners: none; is metaskl itself installed" in message


@pytest.mark.parametrize("name", [None, 3])
def test_a_name_must_be_a_string(name):
    with pytest.raises(TypeError, match="learner must be a name, got"):
        get_learner(name)


def test_register_gives_a_name_for_this_process(good_class):
    register("mine", good_class)
    assert get_learner("mine") is good_class
    info = listed(name="mine")
    assert (info.distribution, info.status, info.builtin) == ("this session", "available", False)
    assert "mine" in [info.name for info in list_learners(load=True)]


def test_a_class_of_a_notebook_need_not_state_the_contract(good_class):
    register("mine", type("Mine", (get_learner("ridge_head"),), {}))
    assert get_learner("mine").__name__ == "Mine"
    with pytest.raises(TypeError, match="metaskl_api = 2, while this metaskl works with 1"):
        register("mine", type("Other", (good_class,), {"metaskl_api": 2}))


def test_registering_again_replaces(good_class):
    register("mine", good_class)
    other = type("Other", (good_class,), {})
    register("mine", other)
    assert get_learner("mine") is other


def test_register_refuses_a_taken_name(good_class, install):
    with pytest.raises(ValueError, match="name must be free, got 'maml', which metaskl"):
        register("maml", good_class)
    install("metaskl-good", "good = plugin_good:Good", plugin_good=GOOD)
    with pytest.raises(ValueError, match=r"'good', which metaskl-good 1\.0 offers"):
        register("good", good_class)


@pytest.mark.parametrize("name", ["", "a:b", 3])
def test_register_refuses_a_name_that_is_none(good_class, name):
    with pytest.raises(ValueError, match="name must be a string without a colon"):
        register(name, good_class)


def test_register_refuses_what_is_no_learner():
    with pytest.raises(TypeError, match=r"cls must be a learner, .*does not derive from"):
        register("mine", int)


@pytest.mark.parametrize("error", [PluginError, UnknownLearnerError, AmbiguousLearnerError])
def test_errors_come_back_from_another_process(error):
    again = pickle.loads(pickle.dumps(error("what to do")))
    assert isinstance(again, error)
    assert str(again) == "what to do"
