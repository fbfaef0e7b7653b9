#include "textflag.h"

// The AVX2 twins of vector_amd64.s: 16 lanes are two registers. Constants are
// memory operands below AX, each a vector of 8 (exp2Vectors): least 0, round 32,
// coefficients from the sixth down 64…256, lowest 288, -log2(e) 320, 126 352, the
// bits of a mask word 384 and 416.

// EXP2 replaces Yx by 2^Yx with Yt, Yp as scratch; Y15 holds least. The operands
// of VMAXPS stand so that NaN passes.
#define EXP2(Yx, Yt, Yp) \
	VMAXPS Yx, Y15, Yx; \
	VADDPS 32(AX), Yx, Yt; \
	VSUBPS 32(AX), Yt, Yp; \
	VSUBPS Yp, Yx, Yx; \
	VMOVUPS 64(AX), Yp; \
	VFMADD213PS 96(AX), Yx, Yp; \
	VFMADD213PS 128(AX), Yx, Yp; \
	VFMADD213PS 160(AX), Yx, Yp; \
	VFMADD213PS 192(AX), Yx, Yp; \
	VFMADD213PS 224(AX), Yx, Yp; \
	VFMADD213PS 256(AX), Yx, Yp; \
	VPSLLD $23, Yt, Yt; \
	VPADDD Yt, Yp, Yx

// MASKS turns the word at DI into lane masks Ylo and Yhi.
#define MASKS(Ylo, Yhi) \
	VPBROADCASTW (DI), Yhi; \
	VPAND 384(AX), Yhi, Ylo; \
	VPCMPEQD 384(AX), Ylo, Ylo; \
	VPAND 416(AX), Yhi, Yhi; \
	VPCMPEQD 416(AX), Yhi, Yhi

// func max256asm(x *float32, n int, keep *uint16) float32
TEXT ·max256asm(SB), NOSPLIT, $0-28
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	MOVQ keep+16(FP), DI
	LEAQ ·exp2Vectors(SB), AX
	VMOVUPS 288(AX), Y0
	VMOVAPS Y0, Y1
	VMOVAPS Y0, Y2
	VMOVAPS Y0, Y3
	TESTQ DI, DI
	JNZ masked
all2:
	CMPQ CX, $32
	JLT all1
	VMAXPS (SI), Y0, Y0
	VMAXPS 32(SI), Y1, Y1
	VMAXPS 64(SI), Y2, Y2
	VMAXPS 96(SI), Y3, Y3
	ADDQ $128, SI
	SUBQ $32, CX
	JMP all2
all1:
	TESTQ CX, CX
	JZ join
	VMAXPS (SI), Y0, Y0
	VMAXPS 32(SI), Y1, Y1
	JMP join
masked:
	VMOVAPS Y0, Y4
masked1:
	MASKS(Y5, Y6)
	VBLENDVPS Y5, (SI), Y4, Y7
	VBLENDVPS Y6, 32(SI), Y4, Y8
	VMAXPS Y7, Y0, Y0
	VMAXPS Y8, Y1, Y1
	ADDQ $2, DI
	ADDQ $64, SI
	SUBQ $16, CX
	JNZ masked1
join:
	VMAXPS Y2, Y0, Y0
	VMAXPS Y3, Y1, Y1
	VMAXPS Y1, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VMAXPS X1, X0, X0
	VPSHUFD $0x4E, X0, X1
	VMAXPS X1, X0, X0
	VPSHUFD $0xB1, X0, X1
	VMAXPS X1, X0, X0
	VMOVSS X0, ret+24(FP)
	VZEROUPPER
	RET

// func exp2x256asm(x *float32, n int, max float32, keep *uint16, sum *[16]float32)
TEXT ·exp2x256asm(SB), NOSPLIT, $0-40
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VBROADCASTSS max+16(FP), Y14
	MOVQ keep+24(FP), DI
	MOVQ sum+32(FP), DX
	LEAQ ·exp2Vectors(SB), AX
	VMOVUPS (AX), Y15
	VMOVUPS (DX), Y12
	VMOVUPS 32(DX), Y13
	TESTQ DI, DI
	JNZ masked
all2:
	CMPQ CX, $32
	JLT all1
	VMOVUPS (SI), Y0
	VMOVUPS 32(SI), Y1
	VMOVUPS 64(SI), Y2
	VMOVUPS 96(SI), Y3
	VSUBPS Y14, Y0, Y0
	VSUBPS Y14, Y1, Y1
	VSUBPS Y14, Y2, Y2
	VSUBPS Y14, Y3, Y3
	EXP2(Y0, Y4, Y8)
	EXP2(Y1, Y5, Y9)
	EXP2(Y2, Y6, Y10)
	EXP2(Y3, Y7, Y11)
	VMOVUPS Y0, (SI)
	VMOVUPS Y1, 32(SI)
	VMOVUPS Y2, 64(SI)
	VMOVUPS Y3, 96(SI)
	VADDPS Y0, Y12, Y12
	VADDPS Y1, Y13, Y13
	VADDPS Y2, Y12, Y12
	VADDPS Y3, Y13, Y13
	ADDQ $128, SI
	SUBQ $32, CX
	JMP all2
all1:
	TESTQ CX, CX
	JZ done
	VMOVUPS (SI), Y0
	VMOVUPS 32(SI), Y1
	VSUBPS Y14, Y0, Y0
	VSUBPS Y14, Y1, Y1
	EXP2(Y0, Y4, Y8)
	EXP2(Y1, Y5, Y9)
	VMOVUPS Y0, (SI)
	VMOVUPS Y1, 32(SI)
	VADDPS Y0, Y12, Y12
	VADDPS Y1, Y13, Y13
	JMP done
masked:
	MASKS(Y2, Y3)
	VANDPS (SI), Y2, Y0
	VANDPS 32(SI), Y3, Y1
	VSUBPS Y14, Y0, Y0
	VSUBPS Y14, Y1, Y1
	EXP2(Y0, Y4, Y8)
	EXP2(Y1, Y5, Y9)
	VANDPS Y2, Y0, Y0
	VANDPS Y3, Y1, Y1
	VMOVUPS Y0, (SI)
	VMOVUPS Y1, 32(SI)
	VADDPS Y0, Y12, Y12
	VADDPS Y1, Y13, Y13
	ADDQ $2, DI
	ADDQ $64, SI
	SUBQ $16, CX
	JNZ masked
done:
	VMOVUPS Y12, (DX)
	VMOVUPS Y13, 32(DX)
	VZEROUPPER
	RET

// func scale256asm(x *float32, n int, s float32)
TEXT ·scale256asm(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VBROADCASTSS s+16(FP), Y15
loop:
	VMULPS (SI), Y15, Y0
	VMULPS 32(SI), Y15, Y1
	VMOVUPS Y0, (SI)
	VMOVUPS Y1, 32(SI)
	ADDQ $64, SI
	SUBQ $16, CX
	JNZ loop
	VZEROUPPER
	RET

// func addScaled256asm(dst, x *float32, n int, s float32)
TEXT ·addScaled256asm(SB), NOSPLIT, $0-28
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS s+24(FP), Y15
loop:
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VFMADD231PS (SI), Y15, Y0
	VFMADD231PS 32(SI), Y15, Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ $64, SI
	ADDQ $64, DI
	SUBQ $16, CX
	JNZ loop
	VZEROUPPER
	RET

// func siluMul256asm(dst, gate, up *float32, n int)
TEXT ·siluMul256asm(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DX
	MOVQ gate+8(FP), SI
	MOVQ up+16(FP), DI
	MOVQ n+24(FP), CX
	LEAQ ·exp2Vectors(SB), AX
	VMOVUPS (AX), Y15
	VMOVUPS 352(AX), Y14
loop:
	VMOVUPS (SI), Y2
	VMOVUPS 32(SI), Y3
	VMULPS 320(AX), Y2, Y0
	VMULPS 320(AX), Y3, Y1
	VMINPS Y14, Y0, Y0
	VMINPS Y14, Y1, Y1
	EXP2(Y0, Y4, Y8)
	EXP2(Y1, Y5, Y9)
	VADDPS 256(AX), Y0, Y0
	VADDPS 256(AX), Y1, Y1
	VDIVPS Y0, Y2, Y2
	VDIVPS Y1, Y3, Y3
	VMULPS (DI), Y2, Y2
	VMULPS 32(DI), Y3, Y3
	VMOVUPS Y2, (DX)
	VMOVUPS Y3, 32(DX)
	ADDQ $64, SI
	ADDQ $64, DI
	ADDQ $64, DX
	SUBQ $16, CX
	JNZ loop
	VZEROUPPER
	RET

// func squares256asm(x *float32, n int, lanes *[16]float32)
TEXT ·squares256asm(SB), NOSPLIT, $0-24
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	MOVQ lanes+16(FP), DX
	VMOVUPS (DX), Y0
	VMOVUPS 32(DX), Y1
loop:
	VMOVUPS (SI), Y2
	VMOVUPS 32(SI), Y3
	VFMADD231PS Y2, Y2, Y0
	VFMADD231PS Y3, Y3, Y1
	ADDQ $64, SI
	SUBQ $16, CX
	JNZ loop
	VMOVUPS Y0, (DX)
	VMOVUPS Y1, 32(DX)
	VZEROUPPER
	RET

// func absolutes256asm(x *float32, n int, lanes *[16]float32)
TEXT ·absolutes256asm(SB), NOSPLIT, $0-24
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	MOVQ lanes+16(FP), DX
	VMOVUPS (DX), Y0
	VMOVUPS 32(DX), Y1
	VPCMPEQD Y4, Y4, Y4
	VPSRLD $1, Y4, Y4 // all bits but the sign
loop:
	VANDPS (SI), Y4, Y2
	VANDPS 32(SI), Y4, Y3
	VADDPS Y2, Y0, Y0
	VADDPS Y3, Y1, Y1
	ADDQ $64, SI
	SUBQ $16, CX
	JNZ loop
	VMOVUPS Y0, (DX)
	VMOVUPS Y1, 32(DX)
	VZEROUPPER
	RET
