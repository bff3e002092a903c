/* The model's file as it is, in read-only memory. */
    .section .model, "a"
    .global model_begin
    .global model_end
    .balign 64
model_begin:
    .incbin DEMO_MODEL
model_end:
