#!/usr/bin/env python3
"""Writes a GGUF of random weights in the shape of a large model, for measuring speed and memory.

    random_model.py OUT.gguf [--shape llama-3.1-8b] [--layers N] [--seed N]

The file is valid for llama.cpp and for nightclerk: Q4_K_M's mixture of types as llama.cpp's quantizer
chooses it (src/llama-quant.cpp: output Q6_K; attn_v and ffn_down Q6_K where `use_more_bits`; all other
matrices Q4_K; norms F32), Llama 3.1's rope factors, and a vocabulary of the right size: the 256 bytes, a
few merges, and placeholders. Weights have mean 0 and deviation 1 / sqrt(width), so that nothing
overflows and no two rows of a matrix are alike up to 131,101 blocks; the same arguments give the same
bytes. `--layers` cuts the model short, for a quick try. Needs Python 3 and nothing else.
"""
import argparse
import random
import struct
import sys
from pathlib import Path

# width, inner width, layers, heads, KV heads, vocabulary, context, rope base
SHAPES = {
    "llama-3.1-8b": (4096, 14336, 32, 32, 8, 128256, 131072, 500000.0),
    "llama-3.2-1b": (2048, 8192, 16, 32, 8, 128256, 131072, 500000.0),
}
F32, Q4_K, Q6_K = 0, 12, 14  # ggml_type
Q4_K_M = 15  # llama_ftype
BLOCK = {F32: (1, 4), Q4_K: (256, 144), Q6_K: (256, 210)}  # weights, bytes
ALIGNMENT = 32
TILE_BLOCKS = 131101  # a prime: rows start at ever other blocks of the tile


def f16(value):
    return struct.pack("<e", value)


def string(text):
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(kind, one):
    if kind == "string":
        return struct.pack("<I", 8) + string(one)
    code, form = {"u32": (4, "<I"), "i32": (5, "<i"), "f32": (6, "<f"), "bool": (7, "<?")}[kind]
    return struct.pack("<I", code) + struct.pack(form, one)


def array(kind, all):
    code = {"string": 8, "i32": 5}[kind]
    parts = [string(one) if kind == "string" else struct.pack("<i", one) for one in all]
    return struct.pack("<IIQ", 9, code, len(all)) + b"".join(parts)


def byte_symbol(byte):
    """GPT-2's printable stand-in for a byte."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    if byte in printable:
        return chr(byte)
    return chr(256 + sum(1 for other in range(byte) if other not in printable))


def vocabulary(count):
    merges = "t h|th e|Ġ the|i n|e r|a n|o n|an d|Ġ and|o f|Ġ of|r e|e n|i s|Ġ is|t o|Ġ to|in g|a t|o r"
    merges = merges.split("|")
    tokens = [byte_symbol(byte) for byte in range(256)] + [m.replace(" ", "") for m in merges]
    controls = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    tokens += [f"unused_{i}" for i in range(count - len(tokens) - len(controls))]
    types = [1] * len(tokens) + [3] * len(controls)
    return tokens + controls, types, merges


def metadata(name, shape):
    width, inner, layers, heads, kv_heads, tokens, context, base = shape
    texts, types, merges = vocabulary(tokens)
    first = tokens - 5
    template = (
        "{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'"
        " + message['content'] + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}"
        "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
    )
    return {
        "general.architecture": value("string", "llama"),
        "general.name": value("string", f"random {name}"),
        "general.license": value("string", "cc0-1.0"),
        "general.file_type": value("u32", Q4_K_M),
        "general.quantization_version": value("u32", 2),
        "llama.block_count": value("u32", layers),
        "llama.context_length": value("u32", context),
        "llama.embedding_length": value("u32", width),
        "llama.feed_forward_length": value("u32", inner),
        "llama.attention.head_count": value("u32", heads),
        "llama.attention.head_count_kv": value("u32", kv_heads),
        "llama.attention.layer_norm_rms_epsilon": value("f32", 1e-5),
        "llama.rope.dimension_count": value("u32", width // heads),
        "llama.rope.freq_base": value("f32", base),
        "llama.vocab_size": value("u32", tokens),
        "tokenizer.ggml.model": value("string", "gpt2"),
        "tokenizer.ggml.pre": value("string", "llama-bpe"),
        "tokenizer.ggml.tokens": array("string", texts),
        "tokenizer.ggml.token_type": array("i32", types),
        "tokenizer.ggml.merges": array("string", merges),
        "tokenizer.ggml.bos_token_id": value("u32", first),
        "tokenizer.ggml.eos_token_id": value("u32", first + 4),
        "tokenizer.ggml.add_bos_token": value("bool", True),
        "tokenizer.chat_template": value("string", template),
    }


def use_more_bits(layer, layers):
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


def tensors(shape):
    """(name, columns, rows, type) in the order of llama.cpp's files; rows 0 for a vector."""
    width, inner, layers, heads, kv_heads, tokens, _, _ = shape
    kv = kv_heads * (width // heads)
    yield "rope_freqs.weight", width // heads // 2, 0, F32
    yield "token_embd.weight", width, tokens, Q4_K
    for layer in range(layers):
        more = Q6_K if use_more_bits(layer, layers) else Q4_K
        name = lambda part: f"blk.{layer}.{part}.weight"
        yield name("attn_norm"), width, 0, F32
        yield name("ffn_down"), inner, width, more
        yield name("ffn_gate"), width, inner, Q4_K
        yield name("ffn_up"), width, inner, Q4_K
        yield name("ffn_norm"), width, 0, F32
        yield name("attn_k"), width, kv, Q4_K
        yield name("attn_output"), width, width, Q4_K
        yield name("attn_q"), width, width, Q4_K
        yield name("attn_v"), width, kv, more
    yield "output_norm.weight", width, 0, F32
    yield "output.weight", width, tokens, Q6_K


def tile(kind, columns, source):
    """TILE_BLOCKS random blocks whose weights have deviation 1 / sqrt(columns)."""
    size = BLOCK[kind][1]
    raw = bytearray(source.randbytes(TILE_BLOCKS * size))
    if kind == Q4_K:
        # d·sc·q − dmin·m with uniform q < 16, sc and m < 64: dmin = 7.5 d makes the mean 0, and then the
        # deviation is 258 d.
        d = 1 / (258 * columns**0.5)
        for at in range(0, len(raw), size):
            raw[at : at + 4] = f16(d) + f16(7.5 * d)
    else:
        # d·sc·(q − 32) with uniform q < 64 and −128 ≤ sc < 128: deviation 1366 d.
        d = f16(1 / (1366 * columns**0.5))
        for at in range(208, len(raw), size):
            raw[at : at + 2] = d
    return bytes(raw)


def vector(name, count):
    if name == "rope_freqs.weight":
        # As converted from Llama 3.1: factor 8, low 1, high 4, of 8192 positions; base 500000.
        out = []
        for i in range(count):
            wave = 2 * 3.141592653589793 * 500000.0 ** (i / count)
            smooth = (8192 / wave - 1) / 3
            factor = 8.0 if smooth <= 0 else 1.0 if smooth >= 1 else 1 / ((1 - smooth) / 8 + smooth)
            out.append(factor)
        return struct.pack(f"<{count}f", *out)
    return struct.pack(f"<{count}f", *[1.0] * count)


def padded(count):
    return -(-count // ALIGNMENT) * ALIGNMENT


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--shape", choices=SHAPES, default="llama-3.1-8b")
    arguments.add_argument("--layers", type=int)
    arguments.add_argument("--seed", type=int, default=1)
    a = arguments.parse_args()
    shape = SHAPES[a.shape]
    name = a.shape
    if a.layers:
        shape = (*shape[:2], a.layers, *shape[3:])
        name = f"{a.shape} of {a.layers} layers"

    head, infos, offset = metadata(name, shape), [], 0
    all = list(tensors(shape))
    for tensor, columns, rows, kind in all:
        weights, size = BLOCK[kind]
        count = columns * max(rows, 1) // weights * size
        sizes = (columns, rows) if rows else (columns,)
        info = string(tensor) + struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)
        infos.append((info + struct.pack("<IQ", kind, offset), count))
        offset += padded(count)

    source, tiles = random.Random(a.seed), {}
    with open(a.out, "wb", buffering=1 << 20) as out:
        out.write(b"GGUF" + struct.pack("<IQQ", 3, len(all), len(head)))
        for key, one in head.items():
            out.write(string(key) + one)
        for info, _ in infos:
            out.write(info)
        out.write(bytes(padded(out.tell()) - out.tell()))
        for number, ((tensor, columns, rows, kind), (_, count)) in enumerate(zip(all, infos)):
            if kind == F32:
                out.write(vector(tensor, columns))
            else:
                if (kind, columns) not in tiles:
                    tiles[kind, columns] = tile(kind, columns, source)
                whole = memoryview(tiles[kind, columns])
                at = number * 7919 % TILE_BLOCKS * BLOCK[kind][1]
                left = count
                while left:
                    part = whole[at : at + left]
                    out.write(part)
                    left -= len(part)
                    at = 0
            out.write(bytes(padded(count) - count))
        total = out.tell()
    print(f"{a.out}: {a.shape}, {shape[2]} layers, {total / 1e9:.2f} GB", file=sys.stderr)


main()
