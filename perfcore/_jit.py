"""Everything that is said to Numba, in one place. No other module imports it.

``kernel`` compiles a loop. The formulas that loops call are ordinary Python functions in
``perfcore.physics``; ``register`` makes them callable from compiled code, always inlined: a call
left in a loop ends its vectorisation (measured: 13-17 against 55-77 M rows/s with 20 columns).
No fast-math flag is set, so that compiled and interpreted results are the same bit for bit;
``error_model="numpy"`` only spares the test for division by zero.
"""

import hashlib
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

import numba
import platformdirs
from llvmlite import ir
from numba import types
from numba.core import config
from numba.extending import intrinsic, register_jitable

from perfcore.errors import PerfcoreError

F = TypeVar("F", bound=Callable[..., Any])


def source_hash() -> str:
    """Hash of all sources that compiled code is made of, and of Numba's version.

    Numba's own cache key is one file's time stamp, so that an edit in another file would serve
    stale physics; this hash names the cache directory instead.
    """
    root = Path(__file__).parent
    digest = hashlib.sha256(numba.__version__.encode())
    sources = [root / f"{name}.py" for name in ("_jit", "kernels", "records", "selection")]
    for path in (*sources, *sorted((root / "physics").glob("*.py"))):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def use_cache_directory() -> Path | None:
    """Point Numba's cache at a directory of these sources; None if none can be written."""
    base = os.environ.get("PERFCORE_CACHE") or platformdirs.user_cache_dir("perfcore")
    directory = Path(base) / "numba" / source_hash()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    config.CACHE_DIR = str(directory)  # type: ignore[attr-defined]
    return directory


CACHE = use_cache_directory()


def kernel(function: F) -> F:
    """Compile a loop: without the GIL, cached on disk where there is a place for it."""
    compiled: Any = numba.njit(nogil=True, cache=CACHE is not None, error_model="numpy")(function)
    return cast(F, compiled)


def inlined(function: F) -> F:
    """Let compiled code call ``function``, always inlined."""
    return register_jitable(forceinline=True)(function)


def register(*modules: ModuleType) -> None:
    """Let compiled code call every function that ``modules`` define, inlined."""
    for module in modules:
        for _, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__:
                inlined(function)


def _load_record(
    typing_context: Any,  # noqa: ANN401, ARG001
    record: Any,  # noqa: ANN401
    table: Any,  # noqa: ANN401
    row: Any,  # noqa: ANN401, ARG001
) -> Any:  # noqa: ANN401
    """Row ``row`` of a contiguous float64 table as the NamedTuple ``record``.

    Numba's own way, a fixed tuple unpacked into the constructor, takes 2.3 us for the six records
    of a configuration, as it copies the tuple once per field; this takes as many loads as fields.
    """
    fields = record.instance_class._fields
    result = types.NamedUniTuple(  # type: ignore[no-untyped-call]
        types.float64, len(fields), record.instance_class
    )
    signature = result(record, table, types.intp)

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401
        array = context.make_array(sig.args[1])(context, builder, arguments[1])
        first = builder.mul(arguments[2], context.get_constant(types.intp, len(fields)))
        values = []
        for field in range(len(fields)):
            index = builder.add(first, context.get_constant(types.intp, field))
            values.append(builder.load(builder.gep(array.data, [index])))
        return context.make_tuple(builder, sig.return_type, values)

    return signature, generate


def _store_fields(
    typing_context: Any,  # noqa: ANN401, ARG001
    tile: Any,  # noqa: ANN401
    stride: Any,  # noqa: ANN401, ARG001
    position: Any,  # noqa: ANN401, ARG001
    record: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    """Store field f of a record of floats at ``tile[f * stride + position]``, for every f.

    One flat array, as LLVM gives up proving that many columns do not overlap.
    """
    if not isinstance(record, types.NamedUniTuple):
        message = f"store_fields needs a NamedTuple of floats, not {record}"
        raise PerfcoreError(message)
    signature = types.void(tile, types.intp, types.intp, record)

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:  # noqa: ANN401
        array_type = sig.args[0]
        array = context.make_array(array_type)(context, builder, arguments[0])
        data = array.data
        element = context.get_data_type(array_type.dtype)
        for field in range(record.count):
            value = builder.extract_value(arguments[3], field)
            if isinstance(element, ir.FloatType):
                value = builder.fptrunc(value, element)
            offset = builder.mul(arguments[1], context.get_constant(types.intp, field))
            index = builder.add(offset, arguments[2])
            builder.store(value, builder.gep(data, [index]))
        return context.get_dummy_value()

    return signature, generate


load_record: Callable[..., Any] = intrinsic(_load_record)
store_fields: Callable[..., None] = intrinsic(_store_fields)

__all__ = ["inlined", "kernel", "load_record", "register", "source_hash", "store_fields"]
