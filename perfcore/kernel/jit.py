"""Interface to Numba. No other module imports it.

``kernel`` compiles a loop. The formulas that loops call are ordinary Python functions in
``perfcore.physics``. ``register`` makes them callable from compiled code, always inlined, because a
call in a loop prevents its vectorisation (measured: 13-17 instead of 55-77 M rows/s with 20
columns). No fast-math flag is set, so compiled and interpreted results are equal bit for bit;
``error_model="numpy"`` only omits the check for division by zero.
"""

import gc
import hashlib
import inspect
import os
import pickle
import pkgutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, cached_property
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol, TypeVar, cast

import numba
import numpy as np
import platformdirs
from llvmlite import ir
from numba import types
from numba.core import caching, codegen, config, event, typed_passes, untyped_passes
from numba.core.compiler import CompilerBase
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager
from numba.core.datamodel import models
from numba.core.datamodel.registry import default_manager
from numba.core.registry import CPUDispatcher
from numba.extending import intrinsic, overload, register_jitable

from perfcore.kernel.compiling import COMPILATION
from perfcore.kernel.layout import CACHE_LINE, Integers, Reals
from perfcore.kernel.sources import source_hash

F = TypeVar("F", bound=Callable[..., Any])


def cache_directory() -> Path | None:
    """Return the cache directory for these sources; None if none can be created.

    Numba's own cache key is the time stamp of a single file, so after an edit of another file it
    would return outdated code. The directory is named by a hash of all sources instead, and by
    Numba's version.

    It lies in ``PERFCORE_CACHE``, or in the user's cache directory, or, without a home directory,
    in a private one among the temporary files.
    """
    given = os.environ.get("PERFCORE_CACHE")
    name = Path("numba") / f"{source_hash()}-{numba.__version__}"
    bases: list[Callable[[], Path]] = [_users_directory, _private_directory]
    if given:
        bases = [lambda: Path(given)]
    for base in bases:
        with suppress(OSError):
            directory = base() / name
            directory.mkdir(parents=True, exist_ok=True)
            return directory
    return None


def _users_directory() -> Path:
    """Return the user's cache directory; ``OSError`` without a home directory."""
    try:
        directory = Path(platformdirs.user_cache_dir("perfcore"))
    except RuntimeError as error:
        raise FileNotFoundError(str(error)) from error
    if not directory.is_absolute():  # "~/.cache/...", from older versions of platformdirs
        raise FileNotFoundError(f"{directory}: there is no home directory")
    return directory


def _private_directory() -> Path:
    """Return a directory among the temporary files that only this user can read or write.

    Raises
    ------
    OSError
        It cannot be created, or is not owned by this user: others could replace its code.
    """
    user = getattr(os, "geteuid", lambda: None)()  # on Windows, each has their own
    directory = Path(tempfile.gettempdir()) / f"perfcore-{user}"
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    shared = user is not None and (found.st_uid != user or found.st_mode & 0o077)
    if not stat.S_ISDIR(found.st_mode) or shared:
        raise PermissionError(f"{directory}: is not private to this user")
    return directory


CACHE = cache_directory()


class _Library(codegen.JITCodeLibrary):
    """Code of a function, which becomes machine code when its address is first requested.

    Numba does this for every function, and optimises each function both before and after inlining.
    Formulas need no machine code, because they are always inlined.
    """

    _waits = False  # for somebody to ask for an address

    def _optimize_functions(self, ll_module: Any) -> None:  # noqa: ANN401
        ll_module.data_layout = self._codegen._data_layout  # noqa: SLF001

    def _finalize_final_module(self) -> None:
        self._waits = not self._disable_inspection  # which is set for code from the cache
        if self._waits:
            self._finalize_dynamic_globals()  # type: ignore[no-untyped-call]
            self._finalized = True
        else:
            super()._finalize_final_module()  # type: ignore[no-untyped-call]

    def get_pointer_to_function(self, name: str) -> int:
        """Return the address of a function; 0 if there is none of this name."""
        self._ensure_finalized()  # type: ignore[no-untyped-call]
        if self._waits and name in {one.name for one in self.get_defined_functions()}:  # type: ignore[no-untyped-call]
            self._waits = False
            super()._finalize_final_module()  # type: ignore[no-untyped-call]
        return int(super().get_pointer_to_function(name))  # type: ignore[no-untyped-call]


class _Codegen(codegen.JITCPUCodegen):
    """LLVM settings for perfcore's kernels; other packages keep Numba's.

    LLVM prefers 256-bit vectors on Intel processors. These settings use 512 bits on processors
    where that does not reduce the clock speed: Xeons of the fourth generation or later, recognised
    by their half-precision arithmetic. A dense model with all columns then runs at 20 instead of 18
    M rows/s. The settings are part of the cache key.
    """

    _library_class = _Library

    def _customize_tm_features(self) -> str:
        features: str = super()._customize_tm_features()  # type: ignore[no-untyped-call]
        chosen = config.CPU_FEATURES is not None  # type: ignore[attr-defined]
        wide = not chosen and "+avx512fp16" in features
        return f"{features},-prefer-256-bit" if wide else features

    def set_env(self, env_name: str, env: object) -> None:
        """Set the environment of a function in machine code."""
        if self._engine.is_symbol_defined(env_name):  # type: ignore[no-untyped-call]
            super().set_env(env_name, env)  # type: ignore[no-untyped-call]


@cache
def _codegen() -> _Codegen:
    return _Codegen("perfcore")  # type: ignore[no-untyped-call]


class _Locator(caching._CacheLocator):  # noqa: SLF001 - the base that Numba requires
    """Location of compiled code: perfcore's own directory, named by a hash of its sources."""

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        self._py_file = file
        self._line = function.__code__.co_firstlineno

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "_Locator":
        return cls(py_func, py_file)

    def get_cache_path(self) -> str:
        return str(CACHE)

    def get_source_stamp(self) -> str:
        return ""  # the name of the directory identifies the sources

    def get_disambiguator(self) -> str:
        return str(self._line)


class _CacheFiles(caching.CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012 - as in the base class


class _CheckedFiles(caching.IndexDataCacheFile):
    """Files of compiled code that start with a checksum; a damaged one counts as missing.

    Unpickling does not notice damaged machine code, and raises any error for other damage.
    """

    def load(self, key: Any) -> Any:  # noqa: ANN401
        """Return the code of a key; None if there is none."""
        found = super().load(key)  # type: ignore[no-untyped-call]
        return found[1] if found is not None and found[0] == key else None

    def save(self, key: Any, data: Any) -> None:  # noqa: ANN401
        """Save code with its key, as two processes may choose the same file for different keys."""
        super().save(key, (key, data))  # type: ignore[no-untyped-call]

    def _load_index(self) -> dict[Any, str]:
        return self._read(self._index_path) or {}

    def _save_index(self, overloads: dict[Any, str]) -> None:
        self._write(self._index_path, overloads)

    def _load_data(self, name: str) -> Any:  # noqa: ANN401
        return self._read(self._data_path(name))  # type: ignore[no-untyped-call]

    def _save_data(self, name: str, data: Any) -> None:  # noqa: ANN401
        self._write(self._data_path(name), data)  # type: ignore[no-untyped-call]

    def _read(self, path: str) -> Any:  # noqa: ANN401
        try:
            content = Path(path).read_bytes()
        except OSError:
            return None
        size = hashlib.sha256().digest_size
        checksum, pickled = content[:size], content[size:]
        if hashlib.sha256(pickled).digest() != checksum:
            return None
        return pickle.loads(pickled)  # noqa: S301 - the bytes that we wrote

    def _write(self, path: str, content: Any) -> None:  # noqa: ANN401
        pickled = self._dump(content)  # type: ignore[no-untyped-call]
        with self._open_for_write(path) as file:
            file.write(hashlib.sha256(pickled).digest() + pickled)


class _Cache(caching.FunctionCache):
    _impl_class = _CacheFiles

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)  # type: ignore[no-untyped-call]
        self._cache_file = _CheckedFiles(  # type: ignore[no-untyped-call]
            self._cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp()
        )

    def save_overload(self, sig: Any, data: Any) -> None:  # noqa: ANN401
        """Save compiled code; do nothing if the directory is full or read-only."""
        with suppress(OSError):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]

    def signatures(self) -> list[Any]:
        """Return the types of arguments for which there is code that this process can use."""
        files = cast(_CheckedFiles, self._cache_file)
        keys = files._load_index()  # noqa: SLF001 - our own class
        return [key[0] for key in keys if key == self._index_key(key[0], _codegen())]  # type: ignore[no-untyped-call]


class _Listener(event.Listener):
    """Listener to Numba's search for a kernel, which compiles what the cache does not have."""

    def __init__(self) -> None:
        self.depth = 0  # of kernels and formulas that are compiled for one another

    def on_start(self, event: Any) -> None:  # noqa: ANN401, ARG002
        self.depth += 1
        if self.depth == 1:
            COMPILATION.begin()

    def on_end(self, event: Any) -> None:  # noqa: ANN401, ARG002
        self.depth -= 1
        if self.depth == 0:
            COMPILATION.end()


_LISTENER = _Listener()


class _Kernel(CPUDispatcher):
    """A compiled loop with its own LLVM settings and cache.

    Numba has one cache directory, one set of CPU features (``numba.config``) and one code generator
    per process, shared by all packages. The generator is therefore replaced while a kernel and its
    formulas are compiled, under Numba's global compiler lock.
    """

    def enable_caching(self) -> None:
        self._cache = _Cache(self.py_func)

    def compile(self, sig: Any) -> Any:  # noqa: ANN401
        context: Any = self.targetctx
        with global_compiler_lock:
            context.refresh()  # compile Numba's runtime now, with the common settings
            everyones = context._internal_codegen  # noqa: SLF001 - it has no setter
            context._internal_codegen = _codegen()  # noqa: SLF001
            try:
                if everyones is context._internal_codegen:  # noqa: SLF001 - for another kernel
                    return super().compile(sig)
                with event.install_listener("numba:compile", _LISTENER), _uncollected():
                    return super().compile(sig)
            finally:
                context._internal_codegen = everyones  # noqa: SLF001


class _Passed(models.DataModel):
    """Data model that passes a record to functions as a whole.

    Numba passes every field separately, and searches each for arrays whose references it counts.
    Most of the code of formulas would take apart and reassemble records of hundreds of fields.
    """

    @cached_property
    def _counted(self) -> bool:
        return bool(self.contains_nrt_meminfo())  # type: ignore[no-untyped-call]

    @cached_property
    def _same(self) -> bool:
        return bool(self.get_value_type() == self.get_data_type())  # type: ignore[no-untyped-call]

    def get_argument_type(self) -> Any:  # noqa: ANN401
        return self.get_value_type()  # type: ignore[no-untyped-call]

    def as_argument(self, builder: Any, value: Any) -> Any:  # noqa: ANN401, ARG002
        return value

    from_argument = as_argument

    def as_return(self, builder: Any, value: Any) -> Any:  # noqa: ANN401
        return value if self._same else super().as_return(builder, value)  # type: ignore[no-untyped-call]

    def from_return(self, builder: Any, value: Any) -> Any:  # noqa: ANN401
        return value if self._same else super().from_return(builder, value)  # type: ignore[no-untyped-call]

    def traverse(self, builder: Any) -> Any:  # noqa: ANN401
        return super().traverse(builder) if self._counted else []  # type: ignore[no-untyped-call]


class _PassedTuple(_Passed, models.TupleModel):
    pass


class _PassedUniTuple(_Passed, models.UniTupleModel):
    pass


def _pass_records() -> None:
    """Make Numba pass perfcore's records as a whole, and no others."""
    package = __name__.partition(".")[0]
    ways: dict[Any, tuple[Callable[..., Any], Callable[..., Any]]] = {
        types.NamedTuple: (_PassedTuple, models.TupleModel),
        types.NamedUniTuple: (_PassedUniTuple, models.UniTupleModel),
    }

    def model(manager: Any, kind: Any) -> Any:  # noqa: ANN401
        ours, others = ways[type(kind)]
        home, _, _ = kind.instance_class.__module__.partition(".")
        return (ours if home == package else others)(manager, kind)

    for kind in ways:
        default_manager.register(kind, model)  # type: ignore[no-untyped-call]


_pass_records()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Disable garbage collection, which takes a twelfth of the compile time and frees little."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def kernel(function: F) -> F:
    """Compile a loop that releases the GIL, cached on disk if there is a cache directory."""
    if config.DISABLE_JIT:  # type: ignore[attr-defined]
        return function
    options = {"nopython": True, "nogil": True, "error_model": "numpy", "boundscheck": None}
    compiled: Any = _Kernel(function, targetoptions=options)
    if CACHE is not None:
        compiled.enable_caching()
    return cast(F, compiled)


def compiled_signatures(function: Callable[..., Any]) -> tuple[Any, ...]:
    """Return the types of arguments that a kernel is compiled for, in this process or on disk."""
    if not isinstance(function, _Kernel):  # the compiler is switched off
        return ()
    found = list(function.overloads)
    if isinstance(function._cache, _Cache):  # noqa: SLF001 - our own class
        found += function._cache.signatures()  # noqa: SLF001
    return tuple(dict.fromkeys(found))


def names_of(array: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return the names of an array type's fields; none if its elements are numbers."""
    return tuple(array.dtype.fields) if isinstance(array.dtype, types.Record) else ()


def is_absent(argument: Any) -> bool:  # noqa: ANN401
    """Return whether the type of an argument is that of None."""
    return isinstance(argument, types.NoneType | types.Omitted)


def dtype_of(array: Any) -> np.dtype[Any]:  # noqa: ANN401
    """Return the NumPy type of the numbers of an array type, which may stand in records."""
    return np.dtype(str(_element_of(array)))


class _FormulaCompiler(CompilerBase):
    """Compiler of formulas: only those of Numba's passes that plain arithmetic and branches need.

    The others look for loops to lift, closures, array expressions and constants to propagate.
    """

    def define_pipelines(self) -> list[PassManager]:
        manager: Any = PassManager("perfcore formula")  # type: ignore[no-untyped-call]
        for step in (
            untyped_passes.TranslateByteCode,
            untyped_passes.FixupArgs,
            untyped_passes.IRProcessing,
            untyped_passes.GenericRewrites,  # constant slices of records
            untyped_passes.ReconstructSSA,
            typed_passes.NopythonTypeInference,
            typed_passes.PreLowerStripPhis,
            typed_passes.IRLegalization,
            typed_passes.AnnotateTypes,
            typed_passes.NativeLowering,
            typed_passes.NoPythonBackend,
        ):
            manager.add_pass(step, step.__name__)
        manager.finalize()
        return [manager]


# The second omits the wrapper for callers in C, of which there are none.
INLINED: Final[Any] = {"forceinline": True, "no_cfunc_wrapper": True}
FORMULA: Final[Any] = {**INLINED, "pipeline_class": _FormulaCompiler}


def inlined(function: F) -> F:
    """Make ``function`` callable from compiled code, always inlined."""
    return register_jitable(**INLINED)(function)


def modules_of(package: ModuleType) -> tuple[ModuleType, ...]:
    """Return all modules of a package in order of dependency."""
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    modules = {name: import_module(name) for _, name, _ in found}
    used = {
        name: {getattr(member, "__module__", name) for member in vars(module).values()} & {*modules}
        for name, module in modules.items()
    }
    order = TopologicalSorter({name: names - {name} for name, names in used.items()})
    return tuple(modules[name] for name in order.static_order())


def register(*modules: ModuleType) -> None:
    """Make all functions defined in ``modules`` callable from compiled code, inlined."""
    for module in modules:
        for _, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__:
                register_jitable(**FORMULA)(function)


def _compiled(definition: Callable[..., Any]) -> Any:  # noqa: ANN401
    """Return a function for compiled code; ``definition`` generates its LLVM instructions."""
    return intrinsic(definition)


def _fma(typing_context: Any, first: Any, second: Any, addend: Any) -> Any:  # noqa: ANN401, ARG001
    """Product and sum, rounded once."""
    number = types.float64

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
        return builder.fma(*arguments)

    return number(number, number, number), generate


def fuse(function: Callable[[float, float, float], float]) -> None:
    """Make compiled code replace calls of ``function``, ``fma``, by the instruction."""
    instruction = _compiled(_fma)

    def chosen(first: Any, second: Any, addend: Any) -> Any:  # noqa: ANN401, ARG001
        return lambda first, second, addend: instruction(first, second, addend)  # noqa: PLW0108

    overload(function, jit_options=INLINED, strict=False)(chosen)


N = TypeVar("N", int, float)


class Pointer(Protocol[N]):
    """Pointer to the elements of an array: no bounds, negative indices or reference counts.

    Numba counts references to arrays, with atomic operations, whenever one is passed, sliced or
    taken from a tuple: 17 to 30 % of the kernel's time. A function that uses a pointer to an array
    of its own must call ``keep`` at the end, as Numba frees an array after its last use by name.
    """

    def __getitem__(self, index: int) -> N: ...
    def __setitem__(self, index: int, value: N) -> None: ...


def _pointer(typing_context: Any, array: Any) -> Any:  # noqa: ANN401, ARG001
    """Pointer to the first element of a contiguous array."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401
        return context.make_array(sig.args[0])(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), generate  # type: ignore[no-untyped-call]


def _shifted(typing_context: Any, array: Any, distance: Any) -> Any:  # noqa: ANN401, ARG001
    """Pointer to the element that is ``distance`` elements behind that of another pointer."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
        return builder.gep(arguments[0], [arguments[1]])

    return array(array, types.intp), generate


def _aligned_pointer(typing_context: Any, array: Any, position: Any) -> Any:  # noqa: ANN401, ARG001
    """Pointer to an element of a contiguous array, counted from the first whole cache line."""

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

    Numba's own way, a fixed tuple unpacked into the constructor, copies the tuple once per field:
    2.3 us for the six records of a configuration. This takes one load per field.
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


def nested(record: Any) -> Callable[[Any], Any]:  # noqa: ANN401
    """Return a function for compiled code that builds a record of records from numbers in a row.

    ``take(pointer)``. Numba takes 6 ms to unpack an argument of the size of ``Replica``.
    """

    def kind_of(one: Any) -> Any:  # noqa: ANN401
        if getattr(one, "__origin__", one) is float:  # annotated, or not
            return types.float64
        kinds = [kind_of(field) for field in one.__annotations__.values()]
        if all(kind is types.float64 for kind in kinds):
            return types.NamedUniTuple(types.float64, len(kinds), one)  # type: ignore[no-untyped-call]
        return types.NamedTuple(kinds, one)  # type: ignore[no-untyped-call]

    def build(context: Any, builder: Any, kind: Any, first: Any, place: int) -> tuple[Any, int]:  # noqa: ANN401
        if kind is types.float64:
            address = builder.gep(first, [context.get_constant(types.intp, place)])
            return builder.load(address), place + 1
        fields = []
        for inner in kind:
            field, place = build(context, builder, inner, first, place)
            fields.append(field)
        return context.make_tuple(builder, kind, fields), place

    def take(typing_context: Any, numbers: Any) -> Any:  # noqa: ANN401, ARG001
        result = kind_of(record)

        def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
            return build(context, builder, result, arguments[0], 0)[0]

        return result(numbers), generate

    found: Callable[[Any], Any] = _compiled(take)
    return found


def columns(record: Any, copy: int) -> tuple[str, ...]:  # noqa: ANN401
    """Return the names of the columns of a copy of a record, for ``Spread``."""
    return tuple(f"{field}/{copy}" for field in record._fields)


class Spread:
    """Access to records of floats that are stored in arrays by field, for loops over rows.

    ``arrays`` names all arrays, or parts of arrays, that such a loop accesses. The compiler is told
    that they do not overlap. Otherwise it would check this at every start of a loop with few
    columns, and give up on vectorisation with many.
    """

    def __init__(self, arrays: Sequence[str]) -> None:
        self.arrays = arrays

    def fields_of(
        self,
        record: Any,  # noqa: ANN401
        array: str,
        stride: int,
    ) -> tuple[Callable[..., Any], Callable[..., None]]:
        """Return two functions for compiled code that load and store a record.

        They are ``load(pointer, position)`` and ``store(pointer, position, record)``. Field f is
        element ``f * stride + position`` of the pointer.
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

    def columns_of(
        self,
        record: Any,  # noqa: ANN401
        copy: int = 0,
    ) -> tuple[Callable[..., Any], Callable[..., None]]:
        """Return two functions for compiled code that store records in columns.

        ``find(pointer, places, asked)``, called before a loop, returns the columns: that of field f
        starts at element ``places[f]`` of ``pointer``. ``store(found, position, record, asked)``
        writes a record there, converted to the pointer's element type. Each of ``columns``, of a
        ``copy`` of the record, is one of ``arrays``, as no two columns overlap.

        The type of ``asked`` says which fields: those of its elements if they are records, else
        all. Fields that are not stored are not computed, as the compiler drops arithmetic without
        a use.
        """
        fields = record._fields
        names = columns(record, copy)

        def stored(asked: Any) -> list[int]:  # noqa: ANN401
            kind = asked.dtype
            chosen = kind.fields if isinstance(kind, types.Record) else fields
            return [fields.index(name) for name in chosen]

        def find(typing_context: Any, pointer: Any, places: Any, asked: Any) -> Any:  # noqa: ANN401, ARG001
            numbers = stored(asked)
            result = types.UniTuple(pointer, len(numbers))  # type: ignore[no-untyped-call]

            def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
                found = []
                for field in numbers:
                    index = context.get_constant(types.intp, field)
                    place = builder.load(builder.gep(arguments[1], [index]))
                    found.append(builder.gep(arguments[0], [place]))
                return context.make_tuple(builder, result, found)

            return result(pointer, places, asked), generate

        def store(typing_context: Any, found: Any, position: Any, given: Any, asked: Any) -> Any:  # noqa: ANN401, ARG001
            def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401
                element = context.get_data_type(sig.args[0].dtype.dtype)
                for column, field in enumerate(stored(asked)):
                    value = builder.extract_value(arguments[2], field)
                    if isinstance(element, ir.FloatType):
                        value = builder.fptrunc(value, element)
                    first = builder.extract_value(arguments[0], column)
                    address = builder.gep(first, [arguments[1]])
                    self._alone(builder, builder.store(value, address), names[field])
                return context.get_dummy_value()

            return types.void(found, types.intp, given, asked), generate

        return _compiled(find), _compiled(store)

    def _alone(self, builder: Any, instruction: Any, array: str) -> Any:  # noqa: ANN401
        """Mark ``instruction`` as one that accesses ``array`` and no other array."""
        module = builder.module
        domain = module.add_metadata(["perfcore"])
        scopes = {other: module.add_metadata([other, domain]) for other in self.arrays}
        others = [scopes[other] for other in self.arrays if other != array]
        instruction.set_metadata("alias.scope", module.add_metadata([scopes[array]]))
        instruction.set_metadata("noalias", module.add_metadata(others))
        return instruction


def _put(typing_context: Any, array: Any, start: Any, record: Any) -> Any:  # noqa: ANN401, ARG001
    """Store a NamedTuple of pointers and whole numbers in an integer array, for ``taken``."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401
        for field, kind in enumerate(sig.args[2].types):
            value = builder.extract_value(arguments[2], field)
            if isinstance(kind, types.CPointer):
                value = builder.ptrtoint(value, ir.IntType(64))
            builder.store(value, _element(context, builder, arguments, field))
        return context.get_dummy_value()

    return types.void(array, types.intp, record), generate


def taken(record: Any) -> Callable[..., Any]:  # noqa: ANN401
    """Return a function for compiled code that restores a NamedTuple stored by ``put``.

    The function is ``take(array, start, values)``. It avoids passing arrays, which Numba unpacks at
    each call, 0.25 us per array, while holding the GIL. The annotation of a pointer, or of an array
    whose pointer it becomes, gives the type of its elements: ``Annotated[..., np.int32]``, or
    ``None`` for that of ``values``, or of its fields. The caller of ``put`` must keep the arrays
    alive.
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
    """Type of a field stored by ``put``."""
    if annotation is int:
        return types.int64
    plain = {
        Pointer[float]: types.float64,
        Pointer[int]: types.int64,
        Reals: types.float64,
        Integers: types.int64,
    }
    if annotation in plain:
        return types.CPointer(plain[annotation])  # type: ignore[no-untyped-call]
    (kind,) = annotation.__metadata__
    element = _element_of(values) if kind is None else numba.from_dtype(np.dtype(kind))
    return types.CPointer(element)  # type: ignore[no-untyped-call]


def _element_of(values: Any) -> Any:  # noqa: ANN401
    """Type of the numbers of ``values``, which may stand in records of one kind of number."""
    kind = values.dtype
    if isinstance(kind, types.Record):
        first, *_ = kind.fields.values()
        return first.type
    return kind


def _element(context: Any, builder: Any, arguments: Any, field: int) -> Any:  # noqa: ANN401
    """Address of element ``start + field`` of ``array``, the first two arguments."""
    index = builder.add(arguments[1], context.get_constant(types.intp, field))
    return builder.gep(arguments[0], [index])


def _align_stack(typing_context: Any) -> Any:  # noqa: ANN401, ARG001
    """Align the stack of the calling function to a cache line.

    LLVM does so only if there is an aligned variable before it allocates registers. Otherwise every
    spilled 64-byte register straddles two cache lines.
    """

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
        with builder.goto_entry_block():
            line = builder.alloca(ir.ArrayType(ir.DoubleType(), 8))
            line.align = CACHE_LINE
        # empty assembly that may read the variable, so that it is not optimised away
        looks_at = ir.FunctionType(ir.VoidType(), [line.type])
        builder.asm(looks_at, "", "r,~{memory}", [line], side_effect=True)
        return context.get_dummy_value()

    return types.void(), generate


def _keep(typing_context: Any, arrays: Any) -> Any:  # noqa: ANN401, ARG001
    """No operation: a use of arrays that keeps them alive until here."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401, ARG001
        return context.get_dummy_value()

    return types.void(arrays), generate


def _rounded(typing_context: Any, value: Any, dropped: Any) -> Any:  # noqa: ANN401, ARG001
    """Round away the last ``dropped`` bits of a number: to nearest, ties away from zero."""

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
    """Return two functions for compiled code that test a record for values, and assume them.

    The first returns whether a record has these values. The second returns the same record with the
    values as constants, so that the compiler removes the branches and terms that they switch off.
    ``values`` are keyed by dotted paths into nested NamedTuples.
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


def paths_of(record: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return the dotted paths of all numbers of a NamedTuple of numbers and NamedTuples."""
    if getattr(record, "__origin__", record) is float:  # annotated, or not
        return ("",)
    return tuple(
        f"{name}.{path}".rstrip(".")
        for name, kind in record.__annotations__.items()
        for path in paths_of(kind)
    )


def leaves_of(record: type) -> tuple[Callable[..., None], Callable[..., Any]]:
    """Return two functions for compiled code that store and replace some numbers of a record.

    They are ``take(record, pointer, row, asked)`` and ``replaced(record, pointer, row, asked)``.
    The element type of ``asked``, a record, names the numbers by their dotted paths; each row of
    ``pointer`` has one after the other.
    """

    def addresses(context: Any, builder: Any, arguments: Any, asked: Any) -> Any:  # noqa: ANN401
        paths = [_path(record, name) for name in asked.dtype.fields]
        first = builder.mul(arguments[2], context.get_constant(types.intp, len(paths)))
        for place, path in enumerate(paths):
            index = builder.add(first, context.get_constant(types.intp, place))
            yield path, builder.gep(arguments[1], [index])

    def take(typing_context: Any, given: Any, numbers: Any, row: Any, asked: Any) -> Any:  # noqa: ANN401, ARG001
        def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401
            for path, address in addresses(context, builder, arguments, sig.args[3]):
                builder.store(builder.extract_value(arguments[0], path), address)
            return context.get_dummy_value()

        return types.void(given, numbers, types.intp, asked), generate

    def replaced(typing_context: Any, given: Any, numbers: Any, row: Any, asked: Any) -> Any:  # noqa: ANN401, ARG001
        def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401
            result = arguments[0]
            for path, address in addresses(context, builder, arguments, sig.args[3]):
                result = builder.insert_value(result, builder.load(address), path)
            return result

        return given(given, numbers, types.intp, asked), generate

    return _compiled(take), _compiled(replaced)


def _path(record: Any, name: str) -> list[int]:  # noqa: ANN401
    """Indices of nested fields."""
    path = []
    for field in name.split("."):
        path.append(record._fields.index(field))
        record = record.__annotations__[field]
    return path


load_record: Callable[..., Any] = _compiled(_load_record)
pointer: Callable[[Any], Any] = _compiled(_pointer)
aligned_pointer: Callable[[Any, int], Any] = _compiled(_aligned_pointer)
shifted: Callable[[Any, int], Any] = _compiled(_shifted)
align_stack: Callable[[], None] = _compiled(_align_stack)
keep: Callable[[Any], None] = _compiled(_keep)
put: Callable[[Any, int, Any], None] = _compiled(_put)
rounded: Callable[[float, int], float] = _compiled(_rounded)

__all__ = [
    "Pointer",
    "Spread",
    "align_stack",
    "aligned_pointer",
    "columns",
    "compiled_signatures",
    "constants",
    "dtype_of",
    "fuse",
    "inlined",
    "is_absent",
    "keep",
    "kernel",
    "leaves_of",
    "load_record",
    "names_of",
    "nested",
    "paths_of",
    "pointer",
    "put",
    "register",
    "rounded",
    "shifted",
    "source_hash",
    "taken",
]
