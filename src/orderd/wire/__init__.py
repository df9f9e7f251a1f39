"""Between the wire and the core: `oms.v1` requests become checked values, core values become `oms.v1` bytes.

Pure: no gRPC, no clock, no I/O. A request is judged whole (`asks.Invalid` lists every problem of every field); a
message is built once and afterwards moved as bytes (`splice`).
"""
