//go:build ignore

package main

// Kernels of AVX512_BF16, which the assembler does not know.

// evex is an instruction of map 0F38 with prefix F3 and 512-bit registers.
func evex(name string, opcode byte, dst, first, second int) {
	flip := func(n, bit int) int { return ^n >> bit & 1 }
	p("\tBYTE $0x62; BYTE $%#02x; BYTE $%#02x; BYTE $%#02x; BYTE $%#02x; BYTE $%#02x // %s Z%d, Z%d, Z%d",
		flip(dst, 3)<<7|flip(second, 4)<<6|flip(second, 3)<<5|flip(dst, 4)<<4|2,
		(^first&15)<<3|1<<2|2, 2<<5|flip(first, 4)<<3, opcode, 3<<6|dst&7<<3|second&7, name, second, first, dst)
}

// dot adds the products of the pairs of bfloat16 in two registers to a third: that
// of the high halves, then that of the low ones.
func dot(b, a, sum int) { evex("VDPBF16PS", 0x52, sum, a, b) }

// roundPairs writes the kernel that rounds whole vectors of 16 to bfloat16.
func roundPairs() {
	p("// func roundPairs512(dst *uint32, x *float32, n int)")
	p("TEXT ·roundPairs512(SB), NOSPLIT, $0-24")
	p("\tMOVQ dst+0(FP), DX\n\tMOVQ x+8(FP), SI\n\tMOVQ n+16(FP), CX")
	p("loop:\n\tVMOVUPS (SI), Z0")
	evex("VCVTNEPS2BF16", 0x72, 0, 0, 0)
	p("\tVMOVDQU Y0, (DX)\n\tADDQ $64, SI\n\tADDQ $32, DX\n\tSUBQ $16, CX\n\tJNZ loop\n\tVZEROUPPER\n\tRET\n")
}

// roundTwo writes the kernel that rounds two rows, whole vectors of 16, to the pairs
// of their values.
func roundTwo() {
	p("// func roundTwo512(dst *uint32, even, odd *float32, n int)")
	p("TEXT ·roundTwo512(SB), NOSPLIT, $0-32")
	p("\tMOVQ dst+0(FP), DX\n\tMOVQ even+8(FP), SI\n\tMOVQ odd+16(FP), DI\n\tMOVQ n+24(FP), CX")
	p("loop:\n\tVMOVUPS (SI), Z0\n\tVMOVUPS (DI), Z1")
	evex("VCVTNEPS2BF16", 0x72, 0, 0, 0)
	evex("VCVTNEPS2BF16", 0x72, 1, 0, 1)
	p("\tVPMOVZXWD Y0, Z0\n\tVPMOVZXWD Y1, Z1\n\tVPSLLD $16, Z1, Z1\n\tVPORD Z0, Z1, Z0\n\tVMOVDQU32 Z0, (DX)")
	p("\tADDQ $64, SI\n\tADDQ $64, DI\n\tADDQ $64, DX\n\tSUBQ $16, CX\n\tJNZ loop\n\tVZEROUPPER\n\tRET\n")
}

// pairLoop writes the loop that shows what a core can do at most.
func pairLoop() {
	const chains = 24
	p("// func pairLoop512(n int)\nTEXT ·pairLoop512(SB), NOSPLIT, $0-8\n\tMOVQ n+0(FP), CX")
	for i := range chains + 2 {
		p("\tVPXORQ Z%d, Z%d, Z%d", i, i, i)
	}
	p("loop:")
	for i := range chains {
		dot(chains, chains+1, i)
	}
	p("\tDECQ CX\n\tJNZ loop\n\tVZEROUPPER\n\tRET\n")
}
