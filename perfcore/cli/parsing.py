"""Commands that refuse an option given twice, and know the words of other tools."""

from collections import Counter
from typing import Final

import click

# Options of vLLM, SGLang, TensorRT-LLM, llama.cpp and benchmarks, and what perfcore calls them:
# the first that a command has.
OTHER_WORDS: Final = {
    ("--isl", "--input-length", "--prompt-len", "--prompt-tokens", "--n-prompt"): ("--input-len",),
    ("--random-input-len", "--random-input", "--input-tokens"): ("--input-len",),
    ("--osl", "--output-length", "--gen-len", "--n-gen", "--max-tokens"): ("--output-len",),
    ("--random-output-len", "--random-output", "--output-tokens"): ("--output-len",),
    ("--max-new-tokens", "--n-predict"): ("--output-len",),
    ("--gpus", "--num-gpus", "--gpu-count", "--n-gpus", "--num-devices", "--device-count"): (
        "--devices",
        "--max-devices",
        "--tp",
    ),
    ("--gpu", "--accelerator", "--hardware", "--chip"): ("--device", "DEVICE"),
    ("--device",): ("DEVICE",),
    ("--model", "--model-path", "--hf-model"): ("MODEL",),
    ("--concurrency", "--max-concurrency", "--users", "--parallel"): (
        "--clients",
        "--batch with --scheduler continuous",
    ),
    ("--batch-size", "--bs", "--max-batch-size"): ("--batch", "--max-sequences"),
    ("--max-num-seqs", "--max-running-requests"): (  # the sampler keeps room for as many
        "--max-sequences",
        "--set engine.max_sequences=N with --set engine.sampled_sequences=N",
    ),
    ("--dtype", "--precision", "--quant", "--quantization", "--quantize", "--weights"): (
        "--weight-format",
    ),
    ("--weight-dtype", "--load-format"): ("--weight-format",),
    ("--kv-cache-dtype", "--kv-dtype", "--kv-quant", "--cache-type-k"): ("--kv-format",),
    ("--tensor-parallel-size", "--tensor-parallel", "--tp-size"): ("--tp",),
    ("--pipeline-parallel-size", "--pipeline-parallel", "--pp-size"): ("--pp",),
    ("--data-parallel-size", "--data-parallel", "--dp-size"): ("--dp",),
    ("--expert-parallel-size", "--enable-expert-parallel", "--ep-size"): ("--ep",),
    ("--num-speculative-tokens", "--draft-tokens", "--speculative-num-steps"): ("--draft-len",),
    ("--acceptance-rate", "--accept-rate"): ("--acceptance",),
    ("--request-rate", "--qps", "--rps", "--arrival-rate"): ("--rate",),
    ("--num-prompts", "--num-requests"): ("--requests",),
    ("--max-num-batched-tokens", "--chunked-prefill-size"): ("--budget", "--prefill-chunk"),
    ("--enforce-eager",): ("--eager",),
    ("--gpu-memory-utilization", "--mem-fraction-static"): ("--set engine.memory_fraction=SHARE",),
    ("--cpu-offload-gb",): ("--offload",),
    ("--cpu-moe", "-cmoe"): ("--offload experts",),
    ("--ngl", "--n-gpu-layers"): ("--gpu-layers",),
    ("--power-cap", "--tdp"): ("--power-limit",),
    ("--out", "--output-file", "--out-file"): ("--output",),
}


class Command(click.Command):
    """Command of perfcore."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments of a command line.

        Raises
        ------
        click.UsageError
            If they are not the command's, or have an option twice that takes one value.

        """
        if not ctx.resilient_parsing and args:
            try:
                _, _, given = self.make_parser(ctx).parse_args(list(args))
            except click.NoSuchOption as error:
                hint = self._own_word(error.option_name)
                if not hint:
                    raise
                raise click.UsageError(
                    f"no such option {error.option_name!r}; {hint}", ctx
                ) from error
            for param, times in Counter(given).items():
                if times > 1 and isinstance(param, click.Option) and _takes_one(param):
                    raise click.UsageError(_twice(param), ctx)
        return super().parse_args(ctx, args)

    def _own_word(self, option: str) -> str:
        """Return what another tool's option is called here; empty if nothing is known."""
        options = {name for param in self.params for name in param.opts}
        arguments = {p.human_readable_name for p in self.params if isinstance(p, click.Argument)}
        for words, meant in OTHER_WORDS.items():
            if option not in words:
                continue
            for word in meant:
                if word.split()[0] in options:
                    return f"here it is {word}"
                if word in arguments:
                    return f"here it is the argument {word}"
        return ""


class Group(click.Group):
    """Group of such commands."""

    command_class = Command


def _takes_one(option: click.Option) -> bool:
    return not (option.multiple or option.is_flag or option.count)


def _twice(option: click.Option) -> str:
    name = option.opts[-1]
    lists = "," in (option.metavar or "")
    remedy = "separate its values with commas" if lists else "give it once"
    return f"{name} is given more than once; {remedy}"
