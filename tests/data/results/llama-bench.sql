CREATE TABLE IF NOT EXISTS test (
  build_commit TEXT,
  avg_ts REAL
);

INSERT INTO test (build_number, cpu_info, gpu_info, backends, model_filename, model_type, model_size, model_n_params, n_ubatch, n_threads, type_k, type_v, n_gpu_layers, split_mode, flash_attn, devices, tensor_split, tensor_buft_overrides, n_prompt, n_gen, n_depth, test_time, avg_ts) VALUES ('6865', 'AMD RYZEN AI MAX+ 395 w/ Radeon 8060S', 'NVIDIA GeForce RTX 4090', 'CUDA', '/m/llama-2-7b.Q4_0.gguf', 'llama 7B Q4_0', '3825065984', '6738415616', '512', '16', 'f16', 'f16', '99', 'layer', '1', 'auto', '0.00', 'none', '0', '128', '0', '2025-10-28T18:04:31Z', '160.0');
