"""Performance modelling of LLM inference: latency, energy and money per token, in columns."""
