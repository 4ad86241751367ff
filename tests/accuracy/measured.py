"""A measurement as a line, and the questions that it asks."""

from perfcore.accuracy.prediction import questions
from perfcore.accuracy.table import read_measurements

HEADER = "model,hardware,engine,metric,value,mode,concurrency,input_len,output_len,tp,devices"
ROW = "meta-llama/Llama-3.1-8B,h100_sxm,vllm,tpot_s,0.0075,static,16,1024,256,1,1"


def asked(*lines, write):
    found, skipped = questions(read_measurements(write(*lines)))
    assert not skipped
    return found
