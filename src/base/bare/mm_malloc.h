/* x86 vector headers include this for two allocating functions, which nobody here calls. */
