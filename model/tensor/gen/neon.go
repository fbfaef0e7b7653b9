//go:build ignore

package main

import "fmt"

// NEON kernels. Go's assembler lacks most floating-point vector instructions: they
// are written as words, each with its name as a remark.

const (
	neonRows     = 8 // rows of the tile of 8 columns: 16 sums
	neonWide     = 2 // rows of the tile of 32 columns: 16 sums
	neonInt8Rows = 4 // rows of the int8 tile of 8 columns: 8 sums of integers, 8 of floats
)

// three writes an instruction d = n op m on vectors of four floats.
func three(name string, base, d, n, m int) {
	p("\tWORD $%#08x // %s V%d, V%d, V%d", base|m<<16|n<<5|d, name, d, n, m)
}

func two(name string, base, d, n int) {
	p("\tWORD $%#08x // %s V%d, V%d", base|n<<5|d, name, d, n)
}

// lane writes d += n·m[i], or another instruction of that form.
func lane(name string, base, d, n, m, i int) {
	p("\tWORD $%#08x // %s V%d, V%d, V%d[%d]", base|(i&1)<<21|m<<16|(i>>1)<<11|n<<5|d, name, d, n, m, i)
}

func fmlaLane(d, n, m, i int) { lane("FMLA", 0x4f801000, d, n, m, i) }
func fmulLane(d, n, m, i int) { lane("FMUL", 0x4f809000, d, n, m, i) }
func sdotLane(d, n, m, i int) { lane("SDOT", 0x4f80e000, d, n, m, i) }
func fmla(d, n, m int)        { three("FMLA", 0x4e20cc00, d, n, m) }
func fadd(d, n, m int)        { three("FADD", 0x4e20d400, d, n, m) }
func fsub(d, n, m int)        { three("FSUB", 0x4ea0d400, d, n, m) }
func fmul(d, n, m int)        { three("FMUL", 0x6e20dc00, d, n, m) }
func fdiv(d, n, m int)        { three("FDIV", 0x6e20fc00, d, n, m) }
func fmax(d, n, m int)        { three("FMAX", 0x4e20f400, d, n, m) }
func fmin(d, n, m int)        { three("FMIN", 0x4ea0f400, d, n, m) }
func fmaxnm(d, n, m int)      { three("FMAXNM", 0x4e20c400, d, n, m) }
func cmtst(d, n, m int)       { three("CMTST", 0x4ea08c00, d, n, m) }
func fabs(d, n int)           { two("FABS", 0x4ea0f800, d, n) }
func scvtf(d, n int)          { two("SCVTF", 0x4e21d800, d, n) }
func fcvtns(d, n int)         { two("FCVTNS", 0x4e21a800, d, n) }

func move(d, n int) { p("\tVORR V%d.B16, V%d.B16, V%d.B16", n, n, d) }
func zero(d int)    { p("\tVEOR V%d.B16, V%d.B16, V%d.B16", d, d, d) }

func neon() {
	for rows := 1; rows <= neonRows; rows++ {
		neonKernel("neon8x", rows, func() { p("\tVLD1.P (R8)(R9), [V24.S4, V25.S4]") })
		neonKernel("bf16neonLow", rows, func() {
			p("\tVLD1.P (R8)(R9), [V24.S4, V25.S4]\n\tVSHL $16, V24.S4, V24.S4\n\tVSHL $16, V25.S4, V25.S4")
		})
		neonKernel("bf16neonHigh", rows, func() {
			p("\tVLD1.P (R8)(R9), [V24.S4, V25.S4]\n\tVUSHR $16, V24.S4, V24.S4\n\tVUSHR $16, V25.S4, V25.S4")
			p("\tVSHL $16, V24.S4, V24.S4\n\tVSHL $16, V25.S4, V25.S4")
		})
	}
	for rows := 1; rows <= neonWide; rows++ {
		neonWideKernel("neon32x", rows, func() {
			p("\tMOVD R8, R14\n\tVLD1.P 64(R14), [V16.S4, V17.S4, V18.S4, V19.S4]\n\tVLD1 (R14), [V20.S4, V21.S4, V22.S4, V23.S4]")
		})
		neonWideKernel("bf16neonWide", rows, func() {
			p("\tVLD1 (R8), [V20.S4, V21.S4, V22.S4, V23.S4]")
			for v := 20; v <= 23; v++ {
				p("\tVSHL $16, V%d.S4, V%d.S4", v, v-4)
			}
			for v := 20; v <= 23; v++ {
				p("\tVUSHR $16, V%d.S4, V%d.S4\n\tVSHL $16, V%d.S4, V%d.S4", v, v, v, v)
			}
		})
	}
	for rows := 1; rows <= neonInt8Rows; rows++ {
		neonInt8(rows)
	}
	neonVectors()
	neonPeaks()
}

// neonHead: R0… rows of A; R8 B, R9 its stride; R10 C, R11 its stride; R12 count of
// k; R13, R14 for what comes up. Strides in bytes.
func neonHead(name string, rows int) {
	p("// func %s%d(c *float32, ldc int, a *float32, lda int, b *float32, ldb, k, accumulate int)", name, rows)
	p("TEXT ·%s%d(SB), NOSPLIT, $0-64", name, rows)
	p("\tMOVD c+0(FP), R10\n\tMOVD ldc+8(FP), R11\n\tLSL $2, R11")
	p("\tMOVD a+16(FP), R0\n\tMOVD lda+24(FP), R13\n\tLSL $2, R13")
	p("\tMOVD b+32(FP), R8\n\tMOVD ldb+40(FP), R9\n\tLSL $2, R9")
	p("\tMOVD k+48(FP), R12")
	for r := 1; r < rows; r++ {
		p("\tADD R13, R%d, R%d", r-1, r)
	}
	p("\tMOVD accumulate+56(FP), R13\n\tCBZ R13, zero\n\tMOVD R10, R14")
}

// neonKernel is the tile of up to 8 rows and 8 columns: sums in V0 to V15, four of k
// of the rows in V16 to V23. load brings 8 columns of a row of B to V24 and V25.
func neonKernel(name string, rows int, load func()) {
	neonHead(name, rows)
	for r := range rows {
		p("\tVLD1 (R14), [V%d.S4, V%d.S4]\n\tADD R11, R14", 2*r, 2*r+1)
	}
	p("\tB loop\nzero:")
	for r := range 2 * rows {
		zero(r)
	}
	p("loop:\n\tCMP $4, R12\n\tBLT rest\nloop4:")
	for r := range rows {
		p("\tVLD1.P 16(R%d), [V%d.S4]", r, 16+r)
	}
	for k := range 4 {
		load()
		for r := range rows {
			fmlaLane(2*r, 24, 16+r, k)
			fmlaLane(2*r+1, 25, 16+r, k)
		}
	}
	p("\tSUB $4, R12\n\tCMP $4, R12\n\tBGE loop4\nrest:\n\tCBZ R12, done\nrest1:")
	load()
	for r := range rows {
		p("\tFMOVS.P 4(R%d), F%d", r, 16+r)
		fmlaLane(2*r, 24, 16+r, 0)
		fmlaLane(2*r+1, 25, 16+r, 0)
	}
	p("\tSUB $1, R12\n\tCBNZ R12, rest1\ndone:")
	for r := range rows {
		p("\tVST1 [V%d.S4, V%d.S4], (R10)\n\tADD R11, R10", 2*r, 2*r+1)
	}
	p("\tRET\n")
}

// neonWideKernel is the tile of few rows and all 32 columns of a panel: enough sums
// under way for one row. load brings a row of B to V16 to V23.
func neonWideKernel(name string, rows int, load func()) {
	neonHead(name, rows)
	for r := range rows {
		p("\tMOVD R14, R13")
		for j := 0; j < 8; j += 4 {
			p("\tVLD1.P 64(R13), [V%d.S4, V%d.S4, V%d.S4, V%d.S4]", 8*r+j, 8*r+j+1, 8*r+j+2, 8*r+j+3)
		}
		p("\tADD R11, R14")
	}
	p("\tB loop\nzero:")
	for r := range 8 * rows {
		zero(r)
	}
	p("loop:\n\tCBZ R12, done\nloop1:")
	for r := range rows {
		p("\tFMOVS.P 4(R%d), F%d", r, 24+r)
	}
	load()
	p("\tADD R9, R8")
	for r := range rows {
		for j := range 8 {
			fmlaLane(8*r+j, 16+j, 24+r, 0)
		}
	}
	p("\tSUB $1, R12\n\tCBNZ R12, loop1\ndone:")
	for r := range rows {
		p("\tMOVD R10, R13")
		for j := 0; j < 8; j += 4 {
			p("\tVST1.P [V%d.S4, V%d.S4, V%d.S4, V%d.S4], 64(R13)", 8*r+j, 8*r+j+1, 8*r+j+2, 8*r+j+3)
		}
		p("\tADD R11, R10")
	}
	p("\tRET\n")
}

// neonInt8 multiplies with SDOT: sums of integers in V0 to V7, of floats in V8 to
// V15, the rows' bytes in V16 to V23. A block of a row is as for AVX-512; the start
// of its sum is not needed, since weights are made signed here.
func neonInt8(rows int) {
	p("// func int8neon%d(%s)", rows, int8NeonArguments)
	p("TEXT ·int8neon%d(SB), NOSPLIT, $0-48", rows)
	p("\tMOVD c+0(FP), R10\n\tMOVD ldc+8(FP), R11\n\tLSL $2, R11")
	p("\tMOVD a+16(FP), R0\n\tMOVD lda+24(FP), R13\n\tMOVD b+32(FP), R8\n\tMOVD blocks+40(FP), R12")
	for r := 1; r < rows; r++ {
		p("\tADD R13, R%d, R%d", r-1, r)
	}
	p("\tMOVD $0x80, R13\n\tVDUP R13, V28.B16")
	for r := range 2 * rows {
		zero(8 + r)
	}
	p("loop:\n\tADD $128, R8, R14\n\tMOVD $%d, R9", quad)
	for r := range rows {
		zero(2 * r)
		zero(2*r + 1)
		p("\tVLD1.P 32(R%d), [V%d.B16, V%d.B16]", r, 16+2*r, 17+2*r)
	}
	for q := range 8 {
		p("\tVLD1.P (R14)(R9), [V24.B16, V25.B16]")
		p("\tVEOR V28.B16, V24.B16, V24.B16\n\tVEOR V28.B16, V25.B16, V25.B16")
		for r := range rows {
			sdotLane(2*r, 24, 16+2*r+q/4, q%4)
			sdotLane(2*r+1, 25, 16+2*r+q/4, q%4)
		}
	}
	p("\tVLD1 (R8), [V24.S4, V25.S4]\n\tADD $%d, R8", panelBlock)
	for r := range rows {
		p("\tFMOVS.P 8(R%d), F26", r)
		for j := range 2 {
			scvtf(2*r+j, 2*r+j)
			fmulLane(27, 24+j, 26, 0)
			fmla(8+2*r+j, 2*r+j, 27)
		}
	}
	p("\tSUB $1, R12\n\tCBNZ R12, loop")
	for r := range rows {
		p("\tVST1 [V%d.S4, V%d.S4], (R10)\n\tADD R11, R10", 8+2*r, 9+2*r)
	}
	p("\tRET\n")
}

// constant loads a float of exp2Constants, by its place, to all of a vector.
func constant(v, place int) { p("\tMOVWU %d(R5), R6\n\tVDUP R6, V%d.S4", 4*place, v) }

// neonExp2 replaces V0 by 2^V0 with V1, V2 and V3 as scratch; the constants stand in
// V16 (least), V17 (round) and V18 to V24 (coefficients from the sixth down).
func neonExp2() {
	fmax(0, 0, 16)
	fadd(1, 0, 17)
	fsub(2, 1, 17)
	fsub(0, 0, 2)
	move(2, 18)
	for c := 19; c <= 24; c++ {
		from, to := 2, 3
		if c%2 == 0 {
			from, to = 3, 2
		}
		move(to, c)
		fmla(to, from, 0)
	}
	p("\tVSHL $23, V1.S4, V1.S4\n\tVADD V1.S4, V2.S4, V0.S4")
}

func neonConstants() {
	p("\tMOVD $·exp2Constants(SB), R5")
	for i := range 9 {
		constant(16+i, i)
	}
}

// maskBits loads the bits of a mask's word that belong to each quarter to V28 to V31.
func maskBits() {
	p("\tMOVD $·neonBits(SB), R6\n\tVLD1 (R6), [V28.S4, V29.S4, V30.S4, V31.S4]")
}

func neonVectors() {
	p(`// func maxNeonAsm(x *float32, n int, keep *uint16) float32
TEXT ·maxNeonAsm(SB), NOSPLIT, $0-28
	MOVD x+0(FP), R0
	MOVD n+8(FP), R1
	MOVD keep+16(FP), R2
	MOVD $·exp2Constants(SB), R5`)
	constant(16, 9)
	for v := range 4 {
		move(v, 16)
	}
	maskBits()
	p("\tCBNZ R2, masked\nall:\n\tVLD1.P 64(R0), [V4.S4, V5.S4, V6.S4, V7.S4]")
	for v := range 4 {
		fmaxnm(v, v, 4+v)
	}
	p("\tSUB $16, R1\n\tCBNZ R1, all\n\tB join\nmasked:\n\tVLD1.P 64(R0), [V4.S4, V5.S4, V6.S4, V7.S4]\n\tMOVHU.P 2(R2), R3\n\tVDUP R3, V8.S4")
	for v := range 4 {
		cmtst(9, 8, 28+v)
		p("\tVBSL V16.B16, V%d.B16, V9.B16", 4+v)
		fmaxnm(v, v, 9)
	}
	p("\tSUB $16, R1\n\tCBNZ R1, masked\njoin:")
	fmaxnm(0, 0, 1)
	fmaxnm(2, 2, 3)
	fmaxnm(0, 0, 2)
	p("\tVDUP V0.S[1], V1.S4\n\tVDUP V0.S[2], V2.S4\n\tVDUP V0.S[3], V3.S4")
	fmaxnm(0, 0, 1)
	fmaxnm(2, 2, 3)
	fmaxnm(0, 0, 2)
	p("\tFMOVS F0, ret+24(FP)\n\tRET\n")

	p(`// func exp2NeonAsm(x *float32, n int, max float32, keep *uint16, sum *[16]float32)
TEXT ·exp2NeonAsm(SB), NOSPLIT, $0-40
	MOVD x+0(FP), R0
	MOVD n+8(FP), R1
	FMOVS max+16(FP), F25
	VDUP V25.S[0], V25.S4
	MOVD keep+24(FP), R2
	MOVD sum+32(FP), R4`)
	neonConstants()
	maskBits()
	p("\tMOVD $0xffff, R3\n\tVDUP R3, V8.S4\n\tVLD1 (R4), [V12.S4, V13.S4, V14.S4, V15.S4]\nloop:\n\tCBZ R2, all\n\tMOVHU.P 2(R2), R3\n\tVDUP R3, V8.S4\nall:\n\tVLD1 (R0), [V4.S4, V5.S4, V6.S4, V7.S4]")
	for v := range 4 {
		fsub(0, 4+v, 25)
		neonExp2()
		cmtst(9, 8, 28+v)
		p("\tVAND V9.B16, V0.B16, V%d.B16", 4+v)
		fadd(12+v, 12+v, 4+v)
	}
	p("\tVST1.P [V4.S4, V5.S4, V6.S4, V7.S4], 64(R0)\n\tSUB $16, R1\n\tCBNZ R1, loop\n\tVST1 [V12.S4, V13.S4, V14.S4, V15.S4], (R4)\n\tRET\n")

	p(`// func scaleNeonAsm(x *float32, n int, s float32)
TEXT ·scaleNeonAsm(SB), NOSPLIT, $0-20
	MOVD x+0(FP), R0
	MOVD n+8(FP), R1
	FMOVS s+16(FP), F16
loop:
	VLD1 (R0), [V4.S4, V5.S4, V6.S4, V7.S4]`)
	for v := 4; v < 8; v++ {
		fmulLane(v, v, 16, 0)
	}
	p("\tVST1.P [V4.S4, V5.S4, V6.S4, V7.S4], 64(R0)\n\tSUB $16, R1\n\tCBNZ R1, loop\n\tRET\n")

	p(`// func addScaledNeonAsm(dst, x *float32, n int, s float32)
TEXT ·addScaledNeonAsm(SB), NOSPLIT, $0-28
	MOVD dst+0(FP), R0
	MOVD x+8(FP), R2
	MOVD n+16(FP), R1
	FMOVS s+24(FP), F16
loop:
	VLD1 (R0), [V4.S4, V5.S4, V6.S4, V7.S4]
	VLD1.P 64(R2), [V0.S4, V1.S4, V2.S4, V3.S4]`)
	for v := range 4 {
		fmlaLane(4+v, v, 16, 0)
	}
	p("\tVST1.P [V4.S4, V5.S4, V6.S4, V7.S4], 64(R0)\n\tSUB $16, R1\n\tCBNZ R1, loop\n\tRET\n")

	p(`// func siluMulNeonAsm(dst, gate, up *float32, n int)
TEXT ·siluMulNeonAsm(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD gate+8(FP), R2
	MOVD up+16(FP), R3
	MOVD n+24(FP), R1`)
	neonConstants()
	constant(25, 10)
	constant(26, 11)
	p("loop:\n\tVLD1.P 16(R2), [V4.S4]\n\tVLD1.P 16(R3), [V5.S4]")
	fmul(0, 4, 25)
	fmin(0, 0, 26)
	neonExp2()
	fadd(0, 0, 24) // the last coefficient is 1
	fdiv(0, 4, 0)
	fmul(0, 0, 5)
	p("\tVST1.P [V0.S4], 16(R0)\n\tSUB $4, R1\n\tCBNZ R1, loop\n\tRET\n")

	for _, sum := range []struct {
		name string
		add  func(v int)
	}{
		{"squares", func(v int) { fmla(v, 4+v, 4+v) }},
		{"absolutes", func(v int) { fabs(4+v, 4+v); fadd(v, v, 4+v) }},
	} {
		p("// func %sNeonAsm(x *float32, n int, lanes *[16]float32)\nTEXT ·%sNeonAsm(SB), NOSPLIT, $0-24", sum.name, sum.name)
		p("\tMOVD x+0(FP), R0\n\tMOVD n+8(FP), R1\n\tMOVD lanes+16(FP), R2\n\tVLD1 (R2), [V0.S4, V1.S4, V2.S4, V3.S4]\nloop:\n\tVLD1.P 64(R0), [V4.S4, V5.S4, V6.S4, V7.S4]")
		for v := range 4 {
			sum.add(v)
		}
		p("\tSUB $16, R1\n\tCBNZ R1, loop\n\tVST1 [V0.S4, V1.S4, V2.S4, V3.S4], (R2)\n\tRET\n")
	}

	p(`// func quantiseNeonAsm(dst *byte, x *float32, blocks int)
TEXT ·quantiseNeonAsm(SB), NOSPLIT, $0-24
	MOVD dst+0(FP), R0
	MOVD x+8(FP), R1
	MOVD blocks+16(FP), R2
	MOVD $·int8Constants(SB), R5
	FMOVS 0(R5), F28
	FMOVS 4(R5), F29
	FMOVS 8(R5), F30
	FMOVS 12(R5), F31
block:
	VLD1.P 64(R1), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R1), [V4.S4, V5.S4, V6.S4, V7.S4]`)
	fabs(8, 0)
	fsub(9, 0, 0)
	for v := 1; v < 8; v++ {
		fabs(10, v)
		fmaxnm(8, 8, 10)
		fsub(10, v, v) // 0 unless NaN or infinite
		fadd(9, 9, 10)
	}
	p("\tVDUP V9.S[1], V10.S4\n\tVDUP V9.S[2], V11.S4\n\tVDUP V9.S[3], V12.S4")
	fadd(9, 9, 10)
	fadd(11, 11, 12)
	fadd(9, 9, 11)
	p("\tFCMPS F9, F9\n\tBVS nan")
	p("\tVDUP V8.S[1], V10.S4\n\tVDUP V8.S[2], V11.S4\n\tVDUP V8.S[3], V12.S4")
	fmaxnm(8, 8, 10)
	fmaxnm(11, 11, 12)
	fmaxnm(8, 8, 11)
	zero(13)
	zero(14)
	p("\tFCMPS F30, F8\n\tBLT small\n\tFMULS F29, F8, F13\n\tFDIVS F8, F28, F14\nsmall:")
	for v := range 8 {
		fmulLane(v, v, 14, 0)
		fcvtns(v, v)
	}
	move(10, 0)
	for v := 1; v < 8; v++ {
		p("\tVADD V%d.S4, V10.S4, V10.S4", v)
	}
	p("\tVADDV V10.S4, V10\n\tVMOV V10.S[0], R3\n\tLSL $7, R3\n\tNEGW R3, R3")
	// Bytes of words: even halves of even halves.
	for v := 0; v < 8; v += 2 {
		p("\tVUZP1 V%d.H8, V%d.H8, V%d.H8", v+1, v, v)
	}
	p("\tVUZP1 V2.B16, V0.B16, V0.B16\n\tVUZP1 V6.B16, V4.B16, V1.B16")
	p("\tVST1.P [V0.B16, V1.B16], 32(R0)\n\tFMOVS.P F13, 4(R0)\n\tMOVW.P R3, 4(R0)")
	p("next:\n\tSUB $1, R2\n\tCBNZ R2, block\n\tRET\nnan:")
	zero(0)
	zero(1)
	p("\tVST1.P [V0.B16, V1.B16], 32(R0)\n\tFMOVS.P F31, 4(R0)\n\tMOVW.P ZR, 4(R0)\n\tB next\n")
}

// neonStubs declares the kernels.
func neonStubs() {
	floats := "c *float32, ldc int, a *float32, lda int, b *float32, ldb, k, accumulate int"
	for _, name := range []string{"neon8x", "bf16neonLow", "bf16neonHigh"} {
		table(name, "neonKernel", neonRows, floats)
	}
	table("neon32x", "neonKernel", neonWide, floats)
	table("bf16neonWide", "neonKernel", neonWide, floats)
	table("int8neon", "neonInt8Kernel", neonInt8Rows, int8NeonArguments)
	for _, stub := range []string{
		"max@(x *float32, n int, keep *uint16) float32",
		"exp2@(x *float32, n int, max float32, keep *uint16, sum *[16]float32)",
		"scale@(x *float32, n int, s float32)",
		"addScaled@(dst, x *float32, n int, s float32)",
		"siluMul@(dst, gate, up *float32, n int)",
		"squares@(x *float32, n int, lanes *[16]float32)",
		"absolutes@(x *float32, n int, lanes *[16]float32)",
		"fma@(n int, a, b float32)",
		"dot@(n int)",
		"read@(x *float32, n int)",
		"quantise@(dst *byte, x *float32, blocks int)",
	} {
		var name, rest string
		for i := range stub {
			if stub[i] == '@' {
				name, rest = stub[:i], stub[i+1:]
			}
		}
		p("//go:noescape\n%s\n", fmt.Sprintf("func %sNeonAsm%s", name, rest))
	}
}

// neonPeaks are the loops of the limits: 24 chains each.
func neonPeaks() {
	const chains = 24
	p("// func fmaNeonAsm(n int, a, b float32)\nTEXT ·fmaNeonAsm(SB), NOSPLIT, $0-16")
	p("\tMOVD n+0(FP), R0\n\tFMOVS a+8(FP), F30\n\tVDUP V30.S[0], V30.S4\n\tFMOVS b+12(FP), F31\n\tVDUP V31.S[0], V31.S4")
	for v := range chains {
		zero(v)
	}
	p("loop:")
	for v := range chains {
		fmla(v, 30, 31)
	}
	p("\tSUB $1, R0\n\tCBNZ R0, loop\n\tRET\n")
	p("// func dotNeonAsm(n int)\nTEXT ·dotNeonAsm(SB), NOSPLIT, $0-8\n\tMOVD n+0(FP), R0")
	zero(30)
	zero(31)
	for v := range chains {
		zero(v)
	}
	p("loop:")
	for v := range chains {
		sdotLane(v, 30, 31, 0)
	}
	p("\tSUB $1, R0\n\tCBNZ R0, loop\n\tRET\n")
	p("// func readNeonAsm(x *float32, n int)\nTEXT ·readNeonAsm(SB), NOSPLIT, $0-16\n\tMOVD x+0(FP), R0\n\tMOVD n+8(FP), R1\nloop:")
	for range 16 {
		p("\tVLD1.P 64(R0), [V0.S4, V1.S4, V2.S4, V3.S4]")
	}
	p("\tSUB $256, R1\n\tCBNZ R1, loop\n\tRET\n")
}
