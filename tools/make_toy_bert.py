#!/usr/bin/env python3
"""Make tests/onnx/toy_bert.onnx: a BERT of two layers with random weights, exported by torch.

usage: tools/make_toy_bert.py [tests/onnx/toy_bert.onnx]

Small on purpose: the loader's test changes every bit of it. Needs torch, transformers and onnx.
"""
import sys

import torch
from transformers import BertConfig, BertForSequenceClassification

torch.manual_seed(1)
config = BertConfig(vocab_size=32, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
                    max_position_embeddings=16, num_labels=2, attn_implementation="eager")
model = BertForSequenceClassification(config).eval()
ids = torch.tensor([[2, 5, 7, 3]])
path = sys.argv[1] if len(sys.argv) > 1 else "tests/onnx/toy_bert.onnx"
torch.onnx.export(model, (ids, torch.ones_like(ids), torch.zeros_like(ids)), path, opset_version=14, dynamo=False,
                  input_names=["input_ids", "attention_mask", "token_type_ids"], output_names=["logits"],
                  dynamic_axes={n: {0: "batch", 1: "sequence"} for n in ("input_ids", "attention_mask", "token_type_ids")})
