"""Constants from tables of kernel times."""

import math

import pytest

from perfcore import catalog
from perfcore.accuracy.kernel_fits import fit_kernels, read_kernels
from perfcore.errors import InputError


def kernel_lines(start_up=5e-6, compute=0.7, memory=0.8):
    device = catalog.load_device("h100-sxm")
    for m in (1, 16, 256, 4096):
        for n, k in ((4096, 4096), (14336, 4096), (4096, 14336), (8192, 8192)):
            flop, size = 2.0 * m * n * k, 2.0 * (n * k + m * (n + k))
            time_s = start_up + math.hypot(
                flop / (compute * device.flops_fp16), size / (memory * device.memory_bandwidth)
            )
            yield f"h100_sxm,gemm,mine,bf16,{m},{n},{k},{time_s!r}"


def test_constants_of_kernels_are_found(write):
    path = write(*kernel_lines(), header="hardware,op,library,dtype,m,n,k,time_s")

    (fit,) = fit_kernels(read_kernels(path))

    assert fit.constants == ("launch", "compute_efficiency_16", "memory_efficiency_16")
    assert fit.values == pytest.approx((5e-6, 0.7, 0.8), rel=1e-3)
    assert fit.median_error < 1e-3


def test_faults_of_a_table_of_kernels(write):
    path = write(
        "h100_sxm,gemm,mine,bf16,1,x,4096,1e-6",
        "no-chip,gemm,mine,bf16,1,1,4096,1e-6",
        header="hardware,op,library,dtype,m,n,k,time_s",
    )

    with pytest.raises(InputError) as error:
        read_kernels(path)

    assert "line 2: n: 'x' is not a" in error.value.faults[0]
    assert "line 3: unknown device 'no-chip'" in error.value.faults[1]
