#!/usr/bin/env python3
"""Makes tests/onnx/cases: one small graph per com.microsoft op and form of quantisation, inputs from a fixed
seed, outputs by ONNX Runtime without optimisation, in the layout of the ONNX backend tests.

    tools/make_onnx_cases.py OUT_DIR          needs numpy, onnx, onnxruntime
"""
import sys
import onnx, numpy as np, onnxruntime as ort, os, shutil
from onnx import helper as h, TensorProto as T, numpy_helper as nh
r=np.random.default_rng(0); f32=lambda *s: r.normal(size=s).astype(np.float32)
ms='com.microsoft'
def case(name,nodes,inputs,inits,outs):
    d=f'{sys.argv[1]}/{name}'; shutil.rmtree(d,ignore_errors=True); os.makedirs(d+'/test_data_set_0')
    vi=[h.make_tensor_value_info(k,h.np_dtype_to_tensor_dtype(v.dtype),v.shape) for k,v in inputs.items()]
    g=h.make_graph(nodes,'g',vi,[h.make_tensor_value_info(o,t,None) for o,t in outs],[nh.from_array(v,k) for k,v in inits.items()])
    m=h.make_model(g,opset_imports=[h.make_opsetid('',17),h.make_opsetid(ms,1)]); m.ir_version=8
    onnx.save(m,d+'/model.onnx')
    try:
        so=ort.SessionOptions(); so.graph_optimization_level=ort.GraphOptimizationLevel.ORT_DISABLE_ALL; so.log_severity_level=4
        res=ort.InferenceSession(d+'/model.onnx',so,providers=['CPUExecutionProvider']).run(None,inputs)
    except Exception as e:
        print(name,'ORT:',str(e)[:200]); shutil.rmtree(d); return
    for i,(k,v) in enumerate(inputs.items()): open(f'{d}/test_data_set_0/input_{i}.pb','wb').write(nh.from_array(v,k).SerializeToString())
    for i,v in enumerate(res): open(f'{d}/test_data_set_0/output_{i}.pb','wb').write(nh.from_array(v).SerializeToString())
B,S,H,N=2,7,24,4
x=f32(B,S,H); N1=lambda op,i,o,**a: h.make_node(op,i,o,domain=ms,**a)
mask=np.ones((B,S),np.int32); mask[1,4:]=0
case('gelu',[N1('Gelu',['x'],['y'])],{'x':x},{},[('y',1)])
case('quickgelu',[N1('QuickGelu',['x'],['y'],alpha=1.702)],{'x':x},{},[('y',1)])
case('biasgelu',[N1('BiasGelu',['x','b'],['y'])],{'x':x},{'b':f32(H)},[('y',1)])
case('fastgelu',[N1('FastGelu',['x','b'],['y'])],{'x':x},{'b':f32(H)},[('y',1)])
case('skipln',[N1('SkipLayerNormalization',['x','s','g','b','c'],['y'],epsilon=1e-12)],{'x':x,'s':f32(B,S,H)},{'g':f32(H),'b':f32(H),'c':f32(H)},[('y',1)])
case('skiprms',[N1('SkipSimplifiedLayerNormalization',['x','s','g'],['y'],epsilon=1e-6)],{'x':x,'s':f32(B,S,H)},{'g':f32(H)},[('y',1)])
ids=r.integers(0,50,(B,S)).astype(np.int32); seg=r.integers(0,2,(B,S)).astype(np.int32)
case('embedln',[N1('EmbedLayerNormalization',['i','s','w','p','t','g','b','m'],['y','mi'],epsilon=1e-12)],{'i':ids,'s':seg,'m':mask},{'w':f32(50,H),'p':f32(16,H),'t':f32(2,H),'g':f32(H),'b':f32(H)},[('y',1),('mi',6)])
case('fusedmm',[N1('FusedMatMul',['a','b'],['y'],transB=1,alpha=0.3)],{'a':f32(2,3,4),'b':f32(2,5,4)},{},[('y',1)])
case('fusedmm_ta',[N1('FusedMatMul',['a','b'],['y'],transA=1)],{'a':f32(2,4,3),'b':f32(2,4,5)},{},[('y',1)])
case('attention',[N1('Attention',['x','w','b','m'],['y'],num_heads=N)],{'x':x,'m':mask},{'w':f32(H,3*H),'b':f32(3*H)},[('y',1)])
case('attention_nomask',[N1('Attention',['x','w','b'],['y'],num_heads=N)],{'x':x},{'w':f32(H,3*H),'b':f32(3*H)},[('y',1)])
case('attention_len',[N1('Attention',['x','w','b','m'],['y'],num_heads=N)],{'x':x,'m':np.array([7,4],np.int32)},{'w':f32(H,3*H),'b':f32(3*H)},[('y',1)])
case('attention_causal',[N1('Attention',['x','w','b'],['y'],num_heads=N,unidirectional=1)],{'x':x},{'w':f32(H,3*H),'b':f32(3*H)},[('y',1)])
case('mha',[N1('MultiHeadAttention',['q','k','v','b','m'],['y'],num_heads=N)],{'q':x,'k':f32(B,S,H),'v':f32(B,S,H),'m':mask},{'b':f32(3*H)},[('y',1)])
case('mha_plain',[N1('MultiHeadAttention',['q','k','v'],['y'],num_heads=N)],{'q':x,'k':f32(B,S,H),'v':f32(B,S,H)},{},[('y',1)])
xq=r.integers(0,255,(B,S,H)).astype(np.uint8)
for wt in (np.int8,np.uint8):
    wq=(r.integers(-127,127,(H,20)) if wt==np.int8 else r.integers(0,255,(H,20))).astype(wt); z=wt(3); n=np.dtype(wt).name
    case('mi2f_'+n,[N1('MatMulIntegerToFloat',['x','w','sx','sw','zx','zw','b'],['y'])],{'x':xq},{'w':wq,'sx':np.float32(.02),'sw':np.float32(.03),'zx':np.uint8(120),'zw':z,'b':f32(20)},[('y',1)])
    case('dqmm_'+n,[N1('DynamicQuantizeMatMul',['x','w','sw','zw','b'],['y'])],{'x':x},{'w':wq,'sw':np.float32(.03),'zw':z,'b':f32(20)},[('y',1)])
    w3=(r.integers(-127,127,(H,3*H)) if wt==np.int8 else r.integers(0,255,(H,3*H))).astype(wt)
    case('qattn_'+n,[N1('QAttention',['x','w','b','sx','sw','m','zx','zw'],['y'],num_heads=N)],{'x':xq,'m':mask},{'w':w3,'b':f32(3*H),'sx':np.float32(.01),'sw':np.float32(.01),'zx':np.uint8(120),'zw':z},[('y',1)])
    case('mi_'+n,[h.make_node('MatMulInteger',['x','w','zx','zw'],['y'])],{'x':xq},{'w':wq,'zx':np.uint8(120),'zw':z},[('y',6)])
K,NN,bs=64,20,32
q=r.integers(0,255,(NN,K//bs,bs//2)).astype(np.uint8)
case('nbits',[N1('MatMulNBits',['x','q','s'],['y'],K=K,N=NN,bits=4,block_size=bs)],{'x':f32(3,K)},{'q':q,'s':f32(NN*K//bs)},[('y',1)])
case('nbits_zp',[N1('MatMulNBits',['x','q','s','z'],['y'],K=K,N=NN,bits=4,block_size=bs)],{'x':f32(3,K)},{'q':q,'s':f32(NN*K//bs),'z':r.integers(0,255,(NN*((K//bs+1)//2),)).astype(np.uint8)},[('y',1)])
# QDQ island
case('qdq',[h.make_node('QuantizeLinear',['x','s','z'],['q']),h.make_node('DequantizeLinear',['q','s','z'],['d']),h.make_node('DequantizeLinear',['wq','ws','wz'],['wd'],axis=1),h.make_node('MatMul',['d','wd'],['y'])],{'x':x},{'s':np.float32(.03),'z':np.uint8(128),'wq':r.integers(-127,127,(H,8)).astype(np.int8),'ws':np.abs(f32(8))/100,'wz':np.zeros(8,np.int8)},[('y',1)])
case('dyn_u8',[h.make_node('DynamicQuantizeLinear',['x'],['q','s','z'])],{'x':f32(300)},{},[('q',2),('s',1),('z',2)])
