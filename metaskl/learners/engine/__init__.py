"""How inner loops are run and differentiated: engines that give the same numbers.

``"loop"``
    One task after the other, by plain double backward: the reference, and the last resort for
    modules that cannot be mapped over tasks.
``"vmap"``
    The forward pass of all tasks at once, by double backward through their sum.
``"adjoint"``
    All tasks at once, and back through the inner steps by Hessian products
    (:mod:`metaskl.learners.engine.adjoint`); by derivatives that are written out where the
    network is a chain of linear layers (:mod:`metaskl.learners.engine.dense`), with weights of
    each task's own or factors of them (:mod:`metaskl.learners.engine.factored`).
``"compiled"``
    The same, compiled to one function (:mod:`metaskl.learners.engine.compiled`); on a GPU one
    CUDA graph (:mod:`metaskl.learners.engine.recorded`).
``"auto"``
    The fastest of them for the network, the device and the length of training.
"""
