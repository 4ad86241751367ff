"""Everything that is said to Numba, in one place. No other module imports it.

``kernel`` compiles a loop. The formulas that loops call are ordinary Python functions in
``perfcore.physics``; ``register`` makes them callable from compiled code, always inlined: a call
left in a loop ends its vectorisation (measured: 13-17 against 55-77 M rows/s with 20 columns).
No fast-math flag is set, so that compiled and interpreted results are the same bit for bit;
``error_model="numpy"`` only spares the test for division by zero.
"""

import inspect
import os
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast

import numba
import numpy as np
import platformdirs
from llvmlite import ir
from numba import types
from numba.core import caching, codegen, config
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher
from numba.extending import intrinsic, overload, register_jitable

from perfcore.kernel.layout import CACHE_LINE
from perfcore.kernel.sources import source_hash

F = TypeVar("F", bound=Callable[..., Any])


def cache_directory() -> Path | None:
    """Return the directory of code compiled of these sources; None if it cannot be made.

    Numba's own cache key is one file's time stamp, so that an edit in another file would serve
    stale physics: the directory is named by all sources instead, and by Numba's version.
    """
    base = os.environ.get("PERFCORE_CACHE") or platformdirs.user_cache_dir("perfcore")
    directory = Path(base) / "numba" / f"{source_hash()}-{numba.__version__}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return directory


CACHE = cache_directory()


class _Codegen(codegen.JITCPUCodegen):
    """LLVM's settings for perfcore's kernels; other packages' keep those of Numba.

    512 bits where that costs no clock speed, as LLVM prefers 256 on Intel's processors: on a Xeon
    of the fourth generation on, which half-precision arithmetic tells apart. 20 against 18 M rows/s
    of a dense model with all columns. They are part of the key of what is cached.
    """

    def _customize_tm_features(self) -> str:
        features: str = super()._customize_tm_features()  # type: ignore[no-untyped-call]
        chosen = config.CPU_FEATURES is not None  # type: ignore[attr-defined]
        wide = not chosen and "+avx512fp16" in features
        return f"{features},-prefer-256-bit" if wide else features


@cache
def _codegen() -> _Codegen:
    return _Codegen("perfcore")  # type: ignore[no-untyped-call]


class _Locator(caching._CacheLocator):  # noqa: SLF001 - what such a class is to be made of
    """Place of compiled code: perfcore's own directory, which is named by all its sources."""

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        self._py_file = file
        self._line = function.__code__.co_firstlineno

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "_Locator":
        return cls(py_func, py_file)

    def get_cache_path(self) -> str:
        return str(CACHE)

    def get_source_stamp(self) -> str:
        return ""  # the directory's name is one

    def get_disambiguator(self) -> str:
        return str(self._line)


class _CacheFiles(caching.CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012 - as in the base


class _Cache(caching.FunctionCache):
    _impl_class = _CacheFiles

    def save_overload(self, sig: Any, data: Any) -> None:  # noqa: ANN401
        """Keep compiled code, unless the directory is full or may only be read."""
        with suppress(OSError):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]


class _Kernel(CPUDispatcher):
    """A compiled loop, with settings of LLVM and a cache of its own.

    Numba has one of each for the whole process, which also serve other packages: directory and
    features of ``numba.config``, and the code generator that was made of them. The generator is
    exchanged while a kernel is compiled, with the formulas in it, under the lock that every
    compilation takes.
    """

    def enable_caching(self) -> None:
        self._cache = _Cache(self.py_func)  # type: ignore[no-untyped-call]

    def compile(self, sig: Any) -> Any:  # noqa: ANN401
        context: Any = self.targetctx
        with global_compiler_lock:
            context.refresh()  # Numba's own runtime is compiled now, for all
            everyones = context._internal_codegen  # noqa: SLF001 - it has no setter
            context._internal_codegen = _codegen()  # noqa: SLF001
            try:
                return super().compile(sig)
            finally:
                context._internal_codegen = everyones  # noqa: SLF001


def kernel(function: F) -> F:
    """Compile a loop: without the GIL, cached on disk where there is a place for it."""
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return function
    options = {"nopython": True, "nogil": True, "error_model": "numpy", "boundscheck": None}
    compiled: Any = _Kernel(function, targetoptions=options)
    if CACHE is not None:
        compiled.enable_caching()
    return cast(F, compiled)


def inlined(function: F) -> F:
    """Let compiled code call ``function``, always inlined."""
    return register_jitable(forceinline=True)(function)


def modules_of(package: ModuleType) -> tuple[ModuleType, ...]:
    """Return every module of a package, each after those whose functions and records it uses."""
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    modules = {name: import_module(name) for _, name, _ in found}
    used = {
        name: {getattr(member, "__module__", name) for member in vars(module).values()} & {*modules}
        for name, module in modules.items()
    }
    order = TopologicalSorter({name: names - {name} for name, names in used.items()})
    return tuple(modules[name] for name in order.static_order())


def register(*modules: ModuleType) -> None:
    """Let compiled code call every function that ``modules`` define, inlined."""
    for module in modules:
        for _, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__:
                inlined(function)


def _compiled(definition: Callable[..., Any]) -> Any:  # noqa: ANN401
    """Return a function for compiled code, which ``definition`` makes LLVM's instructions for."""
    return intrinsic(definition)


def _fma(typing_context: Any, first: Any, second: Any, addend: Any) -> Any:  # noqa: ANN401, ARG001
    """Product and sum, rounded once."""
    number = types.float64

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
        return builder.fma(*arguments)

    return number(number, number, number), generate


def fuse(function: Callable[[float, float, float], float]) -> None:
    """Let compiled code call ``function``, which is ``fma``, as the processor's instruction."""
    instruction = _compiled(_fma)

    def chosen(first: Any, second: Any, addend: Any) -> Any:  # noqa: ANN401, ARG001
        return lambda first, second, addend: instruction(first, second, addend)  # noqa: PLW0108

    overload(function, jit_options={"forceinline": True}, strict=False)(chosen)


N = TypeVar("N", int, float)


class Pointer(Protocol[N]):
    """Elements of an array, to compiled code: no bounds, no negative indices, no references.

    Numba counts references to arrays, with atomic operations, wherever one is handed over, sliced
    or taken out of a tuple: 17 to 30 % of the kernel's time. Whoever takes a pointer of an array
    that he made calls ``keep`` when he is done: Numba frees an array after its last use by name.
    """

    def __getitem__(self, index: int) -> N: ...
    def __setitem__(self, index: int, value: N) -> None: ...


def _pointer(typing_context: Any, array: Any) -> Any:  # noqa: ANN401, ARG001
    """Pointer to a contiguous array's first element."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401
        return context.make_array(sig.args[0])(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), generate  # type: ignore[no-untyped-call]


def _aligned_pointer(typing_context: Any, array: Any, position: Any) -> Any:  # noqa: ANN401, ARG001
    """Pointer to a place of a contiguous array, counted from its first whole cache line on."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401
        data = context.make_array(sig.args[0])(context, builder, arguments[0]).data
        number = ir.IntType(64)
        up = builder.add(builder.ptrtoint(data, number), number(CACHE_LINE - 1))
        start = builder.inttoptr(builder.and_(up, number(-CACHE_LINE)), data.type)
        return builder.gep(start, [arguments[1]])

    return types.CPointer(array.dtype)(array, types.intp), generate  # type: ignore[no-untyped-call]


def _load_record(
    typing_context: Any,  # noqa: ANN401, ARG001
    record: Any,  # noqa: ANN401
    table: Any,  # noqa: ANN401
    row: Any,  # noqa: ANN401, ARG001
) -> Any:  # noqa: ANN401
    """Row ``row`` of a table of numbers as the NamedTuple ``record``.

    Numba's own way, a fixed tuple unpacked into the constructor, takes 2.3 us for the six records
    of a configuration, as it copies the tuple once per field; this takes as many loads as fields.
    """
    fields = record.instance_class._fields
    result = types.NamedUniTuple(  # type: ignore[no-untyped-call]
        types.float64, len(fields), record.instance_class
    )

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401
        first = builder.mul(arguments[2], context.get_constant(types.intp, len(fields)))
        values = []
        for field in range(len(fields)):
            index = builder.add(first, context.get_constant(types.intp, field))
            values.append(builder.load(builder.gep(arguments[1], [index])))
        return context.make_tuple(builder, sig.return_type, values)

    return result(record, table, types.intp), generate


class Spread:
    """Records of floats, spread over an array field after field, to loops that compute rows.

    ``arrays`` are all that such a loop touches, or parts of them. The compiler is told that they do
    not overlap: it gives up proving that for many columns, and checks it anew at every start of a
    loop for few.
    """

    def __init__(self, arrays: Sequence[str]) -> None:
        self.arrays = arrays

    def fields_of(
        self,
        record: Any,  # noqa: ANN401
        array: str,
        stride: int,
    ) -> tuple[Callable[..., Any], Callable[..., None]]:
        """Two functions for compiled code that load and store a record.

        Field f is element ``f * stride + position`` of what a pointer points at:
        ``load(pointer, position)`` and ``store(pointer, position, record)``.
        """
        fields = record._fields

        def addresses(context: Any, builder: Any, pointer: Any, position: Any) -> list[Any]:  # noqa: ANN401
            offsets = (context.get_constant(types.intp, f * stride) for f in range(len(fields)))
            return [builder.gep(pointer, [builder.add(position, offset)]) for offset in offsets]

        def load(typing_context: Any, pointer: Any, position: Any) -> Any:  # noqa: ANN401, ARG001
            result = types.NamedUniTuple(types.float64, len(fields), record)  # type: ignore[no-untyped-call]

            def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
                found = addresses(context, builder, *arguments)
                values = [self._alone(builder, builder.load(one), array) for one in found]
                return context.make_tuple(builder, result, values)

            return result(pointer, types.intp), generate

        def store(typing_context: Any, pointer: Any, position: Any, given: Any) -> Any:  # noqa: ANN401, ARG001
            def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
                for field, address in enumerate(addresses(context, builder, *arguments[:2])):
                    value = builder.extract_value(arguments[2], field)
                    self._alone(builder, builder.store(value, address), array)
                return context.get_dummy_value()

            return types.void(pointer, types.intp, given), generate

        return _compiled(load), _compiled(store)

    def columns_of(self, record: Any) -> tuple[Callable[..., Any], Callable[..., None]]:  # noqa: ANN401
        """Two functions for compiled code: where a record's fields go, and one that stores it.

        ``find(pointer, places)`` is to be called before a loop: field f goes to elements of what
        ``pointer`` points at, from ``places[f]`` on. ``store(found, position, record)`` puts it
        there, in ``pointer``'s kind of number. Each field of the record is one of ``arrays``, as
        no two columns overlap.
        """
        fields = record._fields

        def find(typing_context: Any, pointer: Any, places: Any) -> Any:  # noqa: ANN401, ARG001
            result = types.NamedUniTuple(pointer, len(fields), record)  # type: ignore[no-untyped-call]

            def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
                found = []
                for field in range(len(fields)):
                    index = context.get_constant(types.intp, field)
                    place = builder.load(builder.gep(arguments[1], [index]))
                    found.append(builder.gep(arguments[0], [place]))
                return context.make_tuple(builder, result, found)

            return result(pointer, places), generate

        def store(typing_context: Any, found: Any, position: Any, given: Any) -> Any:  # noqa: ANN401, ARG001
            def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401
                element = context.get_data_type(sig.args[0].dtype.dtype)
                for field, name in enumerate(fields):
                    value = builder.extract_value(arguments[2], field)
                    if isinstance(element, ir.FloatType):
                        value = builder.fptrunc(value, element)
                    first = builder.extract_value(arguments[0], field)
                    address = builder.gep(first, [arguments[1]])
                    self._alone(builder, builder.store(value, address), name)
                return context.get_dummy_value()

            return types.void(found, types.intp, given), generate

        return _compiled(find), _compiled(store)

    def _alone(self, builder: Any, instruction: Any, array: str) -> Any:  # noqa: ANN401
        """``instruction``, marked as one that touches ``array`` and none of the others."""
        module = builder.module
        domain = module.add_metadata(["perfcore"])
        scopes = {other: module.add_metadata([other, domain]) for other in self.arrays}
        others = [scopes[other] for other in self.arrays if other != array]
        instruction.set_metadata("alias.scope", module.add_metadata([scopes[array]]))
        instruction.set_metadata("noalias", module.add_metadata(others))
        return instruction


def _put(typing_context: Any, array: Any, start: Any, record: Any) -> Any:  # noqa: ANN401, ARG001
    """Keep a NamedTuple of pointers and whole numbers as numbers of an array, for ``taken``."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401
        for field, kind in enumerate(sig.args[2].types):
            value = builder.extract_value(arguments[2], field)
            if isinstance(kind, types.CPointer):
                value = builder.ptrtoint(value, ir.IntType(64))
            builder.store(value, _element(context, builder, arguments, field))
        return context.get_dummy_value()

    return types.void(array, types.intp, record), generate


def taken(record: Any) -> Callable[..., Any]:  # noqa: ANN401
    """Return a function for compiled code that makes a NamedTuple of what ``put`` has kept.

    ``take(array, start, values)``: Numba unpacks every array that it is given anew at every call,
    0.25 us each, and under the interpreter's lock. What a pointer points at is in its annotation;
    ``Annotated[..., np.int32]``, and ``None`` for whatever ``values`` points at. Whoever puts
    pointers keeps their arrays as long as they are taken.
    """

    def take(typing_context: Any, array: Any, start: Any, values: Any) -> Any:  # noqa: ANN401, ARG001
        kinds = tuple(_kept_as(kind, values) for kind in record.__annotations__.values())
        result = types.NamedTuple(kinds, record)  # type: ignore[no-untyped-call]

        def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
            found = []
            for field, kind in enumerate(kinds):
                value = builder.load(_element(context, builder, arguments, field))
                if isinstance(kind, types.CPointer):
                    value = builder.inttoptr(value, context.get_value_type(kind))
                found.append(value)
            return context.make_tuple(builder, result, found)

        return result(array, types.intp, values), generate

    found: Callable[..., Any] = _compiled(take)
    return found


def _kept_as(annotation: Any, values: Any) -> Any:  # noqa: ANN401
    """Type of a field that ``put`` has kept."""
    if annotation is int:
        return types.int64
    plain = {Pointer[float]: types.float64, Pointer[int]: types.int64}
    if annotation in plain:
        return types.CPointer(plain[annotation])  # type: ignore[no-untyped-call]
    (kind,) = annotation.__metadata__
    element = values.dtype if kind is None else numba.from_dtype(np.dtype(kind))
    return types.CPointer(element)  # type: ignore[no-untyped-call]


def _element(context: Any, builder: Any, arguments: Any, field: int) -> Any:  # noqa: ANN401
    """Address of element ``start + field`` of ``array``, the first two arguments."""
    index = builder.add(arguments[1], context.get_constant(types.intp, field))
    return builder.gep(arguments[0], [index])


def _align_stack(typing_context: Any) -> Any:  # noqa: ANN401, ARG001
    """Let the function that calls this keep its stack at a multiple of a cache line.

    LLVM does so only if it knows of an aligned variable before it assigns registers; without it
    every 64-byte register that it has to put aside straddles two lines.
    """

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
        with builder.goto_entry_block():
            line = builder.alloca(ir.ArrayType(ir.DoubleType(), 8))
            line.align = CACHE_LINE
        # an empty instruction that may look at the variable, so that it is not optimised away
        looks_at = ir.FunctionType(ir.VoidType(), [line.type])
        builder.asm(looks_at, "", "r,~{memory}", [line], side_effect=True)
        return context.get_dummy_value()

    return types.void(), generate


def _keep(typing_context: Any, arrays: Any) -> Any:  # noqa: ANN401, ARG001
    """Nothing but a use of arrays: until here they live."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
        return context.get_dummy_value()

    return types.void(arrays), generate


def _rounded(typing_context: Any, value: Any, dropped: Any) -> Any:  # noqa: ANN401, ARG001
    """Round a number to the nearest without its last ``dropped`` bits, a half away from zero."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
        real = arguments[0].type
        whole = ir.IntType(32 if isinstance(real, ir.FloatType) else 64)
        drop = builder.trunc(arguments[1], whole) if whole.width < 64 else arguments[1]
        unit = builder.shl(whole(1), drop)
        half = builder.lshr(unit, whole(1))
        bits = builder.add(builder.bitcast(arguments[0], whole), half)
        return builder.bitcast(builder.and_(bits, builder.neg(unit)), real)

    return value(value, types.int64), generate


def constants(
    record: type, values: Mapping[str, float]
) -> tuple[Callable[[Any], bool], Callable[[Any], Any]]:
    """Two functions for compiled code: whether a record has these values, and one that has them.

    The second one's result is the same record to the program, but its compiler then knows the
    values: it leaves out the branches and terms that they switch off. ``values`` are named by
    dotted paths into nested NamedTuples.
    """
    paths = [(_path(record, name), value) for name, value in values.items()]

    def has(typing_context: Any, given: Any) -> Any:  # noqa: ANN401, ARG001
        def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
            same = context.get_constant(types.boolean, True)
            for path, value in paths:
                found = builder.extract_value(arguments[0], path)
                constant = context.get_constant(types.float64, value)
                same = builder.and_(same, builder.fcmp_ordered("==", found, constant))
            return same

        return types.boolean(given), generate

    def with_values(typing_context: Any, given: Any) -> Any:  # noqa: ANN401, ARG001
        def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
            result = arguments[0]
            for path, value in paths:
                constant = context.get_constant(types.float64, value)
                result = builder.insert_value(result, constant, path)
            return result

        return given(given), generate

    return _compiled(has), _compiled(with_values)


def _path(record: Any, name: str) -> list[int]:  # noqa: ANN401
    """Places of nested fields."""
    path = []
    for field in name.split("."):
        path.append(record._fields.index(field))
        record = record.__annotations__[field]
    return path


load_record: Callable[..., Any] = _compiled(_load_record)
pointer: Callable[[Any], Any] = _compiled(_pointer)
aligned_pointer: Callable[[Any, int], Any] = _compiled(_aligned_pointer)
align_stack: Callable[[], None] = _compiled(_align_stack)
keep: Callable[[Any], None] = _compiled(_keep)
put: Callable[[Any, int, Any], None] = _compiled(_put)
rounded: Callable[[float, int], float] = _compiled(_rounded)

__all__ = [
    "Pointer",
    "Spread",
    "align_stack",
    "aligned_pointer",
    "constants",
    "fuse",
    "inlined",
    "keep",
    "kernel",
    "load_record",
    "pointer",
    "put",
    "register",
    "rounded",
    "source_hash",
    "taken",
]
