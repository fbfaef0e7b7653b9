#include "textflag.h"

// EXP2 replaces Zx by 2^Zx with Zt, Zp as scratch. Z16… hold the constants:
// Z16 least, Z17 round, Z18…Z24 coefficients from the sixth down. The operands of
// VMAXPS stand so that NaN passes.
#define EXP2(Zx, Zt, Zp) \
	VMAXPS Zx, Z16, Zx; \
	VADDPS Z17, Zx, Zt; \
	VSUBPS Z17, Zt, Zp; \
	VSUBPS Zp, Zx, Zx; \
	VMOVAPS Z18, Zp; \
	VFMADD213PS Z19, Zx, Zp; \
	VFMADD213PS Z20, Zx, Zp; \
	VFMADD213PS Z21, Zx, Zp; \
	VFMADD213PS Z22, Zx, Zp; \
	VFMADD213PS Z23, Zx, Zp; \
	VFMADD213PS Z24, Zx, Zp; \
	VPSLLD $23, Zt, Zt; \
	VPADDD Zt, Zp, Zx

#define CONSTANTS \
	LEAQ ·exp2Constants(SB), AX; \
	VBROADCASTSS 0(AX), Z16; \
	VBROADCASTSS 4(AX), Z17; \
	VBROADCASTSS 8(AX), Z18; \
	VBROADCASTSS 12(AX), Z19; \
	VBROADCASTSS 16(AX), Z20; \
	VBROADCASTSS 20(AX), Z21; \
	VBROADCASTSS 24(AX), Z22; \
	VBROADCASTSS 28(AX), Z23; \
	VBROADCASTSS 32(AX), Z24

// func max512asm(x *float32, n int, keep *uint16) float32
TEXT ·max512asm(SB), NOSPLIT, $0-28
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	MOVQ keep+16(FP), DI
	LEAQ ·exp2Constants(SB), AX
	VBROADCASTSS 36(AX), Z0
	VMOVAPS Z0, Z1
	TESTQ DI, DI
	JNZ masked
	VMOVAPS Z0, Z2
	VMOVAPS Z0, Z3
all4:
	CMPQ CX, $64
	JLT all1
	VMAXPS (SI), Z0, Z0
	VMAXPS 64(SI), Z1, Z1
	VMAXPS 128(SI), Z2, Z2
	VMAXPS 192(SI), Z3, Z3
	ADDQ $256, SI
	SUBQ $64, CX
	JMP all4
all1:
	TESTQ CX, CX
	JZ joinall
	VMAXPS (SI), Z0, Z0
	ADDQ $64, SI
	SUBQ $16, CX
	JMP all1
joinall:
	VMAXPS Z2, Z0, Z0
	VMAXPS Z3, Z1, Z1
	JMP join
masked:
	KMOVW (DI), K1
	VMAXPS (SI), Z0, K1, Z0
	ADDQ $2, DI
	ADDQ $64, SI
	SUBQ $16, CX
	JNZ masked
join:
	VMAXPS Z1, Z0, Z0
	VEXTRACTF64X4 $1, Z0, Y1
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

// func exp2x512asm(x *float32, n int, max float32, keep *uint16, sum *[16]float32)
TEXT ·exp2x512asm(SB), NOSPLIT, $0-40
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VBROADCASTSS max+16(FP), Z15
	MOVQ keep+24(FP), DI
	MOVQ sum+32(FP), DX
	CONSTANTS
	VMOVUPS (DX), Z14
	TESTQ DI, DI
	JNZ masked
all4:
	CMPQ CX, $64
	JLT all1
	VMOVUPS (SI), Z0
	VMOVUPS 64(SI), Z1
	VMOVUPS 128(SI), Z2
	VMOVUPS 192(SI), Z3
	VSUBPS Z15, Z0, Z0
	VSUBPS Z15, Z1, Z1
	VSUBPS Z15, Z2, Z2
	VSUBPS Z15, Z3, Z3
	EXP2(Z0, Z4, Z8)
	EXP2(Z1, Z5, Z9)
	EXP2(Z2, Z6, Z10)
	EXP2(Z3, Z7, Z11)
	VMOVUPS Z0, (SI)
	VMOVUPS Z1, 64(SI)
	VMOVUPS Z2, 128(SI)
	VMOVUPS Z3, 192(SI)
	VADDPS Z0, Z14, Z14
	VADDPS Z1, Z14, Z14
	VADDPS Z2, Z14, Z14
	VADDPS Z3, Z14, Z14
	ADDQ $256, SI
	SUBQ $64, CX
	JMP all4
all1:
	TESTQ CX, CX
	JZ done
	VMOVUPS (SI), Z0
	VSUBPS Z15, Z0, Z0
	EXP2(Z0, Z4, Z8)
	VMOVUPS Z0, (SI)
	VADDPS Z0, Z14, Z14
	ADDQ $64, SI
	SUBQ $16, CX
	JMP all1
masked:
	KMOVW (DI), K1
	VMOVUPS.Z (SI), K1, Z0
	VSUBPS Z15, Z0, Z0
	EXP2(Z0, Z4, Z8)
	VMOVAPS.Z Z0, K1, Z0
	VMOVUPS Z0, (SI)
	VADDPS Z0, Z14, Z14
	ADDQ $2, DI
	ADDQ $64, SI
	SUBQ $16, CX
	JNZ masked
done:
	VMOVUPS Z14, (DX)
	VZEROUPPER
	RET

// func scale512asm(x *float32, n int, s float32)
TEXT ·scale512asm(SB), NOSPLIT, $0-20
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	VBROADCASTSS s+16(FP), Z15
loop:
	VMULPS (SI), Z15, Z0
	VMOVUPS Z0, (SI)
	ADDQ $64, SI
	SUBQ $16, CX
	JNZ loop
	VZEROUPPER
	RET

// func addScaled512asm(dst, x *float32, n int, s float32)
TEXT ·addScaled512asm(SB), NOSPLIT, $0-28
	MOVQ dst+0(FP), DI
	MOVQ x+8(FP), SI
	MOVQ n+16(FP), CX
	VBROADCASTSS s+24(FP), Z15
loop:
	VMOVUPS (DI), Z0
	VFMADD231PS (SI), Z15, Z0
	VMOVUPS Z0, (DI)
	ADDQ $64, SI
	ADDQ $64, DI
	SUBQ $16, CX
	JNZ loop
	VZEROUPPER
	RET

// func siluMul512asm(dst, gate, up *float32, n int)
TEXT ·siluMul512asm(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DX
	MOVQ gate+8(FP), SI
	MOVQ up+16(FP), DI
	MOVQ n+24(FP), CX
	CONSTANTS
	VBROADCASTSS 40(AX), Z14
	VBROADCASTSS 44(AX), Z15
loop:
	VMOVUPS (SI), Z1
	VMULPS Z14, Z1, Z0
	VMINPS Z15, Z0, Z0
	EXP2(Z0, Z4, Z8)
	VADDPS Z24, Z0, Z0
	VDIVPS Z0, Z1, Z1
	VMULPS (DI), Z1, Z1
	VMOVUPS Z1, (DX)
	ADDQ $64, SI
	ADDQ $64, DI
	ADDQ $64, DX
	SUBQ $16, CX
	JNZ loop
	VZEROUPPER
	RET

// func squares512asm(x *float32, n int, lanes *[16]float32)
TEXT ·squares512asm(SB), NOSPLIT, $0-24
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	MOVQ lanes+16(FP), DX
	VMOVUPS (DX), Z0
loop:
	VMOVUPS (SI), Z1
	VFMADD231PS Z1, Z1, Z0
	ADDQ $64, SI
	SUBQ $16, CX
	JNZ loop
	VMOVUPS Z0, (DX)
	VZEROUPPER
	RET

// func absolutes512asm(x *float32, n int, lanes *[16]float32)
TEXT ·absolutes512asm(SB), NOSPLIT, $0-24
	MOVQ x+0(FP), SI
	MOVQ n+8(FP), CX
	MOVQ lanes+16(FP), DX
	VMOVUPS (DX), Z0
	VPTERNLOGD $0xff, Z4, Z4, Z4
	VPSRLD $1, Z4, Z4 // all bits but the sign
loop:
	VPANDD (SI), Z4, Z1
	VADDPS Z1, Z0, Z0
	ADDQ $64, SI
	SUBQ $16, CX
	JNZ loop
	VMOVUPS Z0, (DX)
	VZEROUPPER
	RET
