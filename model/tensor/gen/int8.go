//go:build ignore

package main

import "fmt"

const (
	int8Rows512 = 6 // rows of the AVX-512 tile of 32 columns: 12 sums of integers, 12 of floats
	int8Rows256 = 4 // rows of the AVX2 tile of 8 columns: 8 half sums of integers, 4 of floats

	int8NeonArguments = "c *float32, ldc int, a *byte, lda int, b *byte, blocks int"
	int8Arguments     = "c *float32, ldc int, a *byte, lda int, b *byte, blocks int, ahead uintptr, pace int"

	// A block of a panel, 32 of k: 32 scales, then 8 times 4 bytes of every column.
	panelBlock = 128 + 1024
	quad       = 128 // 4 of k
)

// int8Head: registers as in head, of which R13 and AX are free, R15 how far BX moves
// on.
func int8Head(name string, rows int) {
	p("// func %s%d(%s)", name, rows, int8Arguments)
	p("TEXT ·%s%d(SB), NOSPLIT, $0-64", name, rows)
	p("\tMOVQ c+0(FP), DX\n\tMOVQ ldc+8(FP), R14\n\tSHLQ $2, R14")
	p("\tMOVQ a+16(FP), SI\n\tMOVQ lda+24(FP), R11")
	p("\tMOVQ b+32(FP), R12\n\tMOVQ blocks+40(FP), CX")
	p("\tMOVQ ahead+48(FP), BX\n\tMOVQ pace+56(FP), R15")
	p("\tLEAQ (R11)(R11*2), AX")
	for i := 1; i <= (rows-1)/3; i++ {
		p("\tLEAQ (%s)(AX*1), %s", bases[i-1], bases[i])
	}
}

// at is the operand at a byte of a row's block.
func at(row, offset int) string {
	base := bases[row/3]
	switch row % 3 {
	case 0:
		return fmt.Sprintf("%d(%s)", offset, base)
	case 1:
		return fmt.Sprintf("%d(%s)(R11*1)", offset, base)
	}
	return fmt.Sprintf("%d(%s)(R11*2)", offset, base)
}

func nextBlock(rows, bytes int) {
	p("\tADDQ $%d, R12", panelBlock)
	for i := 0; i <= (rows-1)/3; i++ {
		p("\tADDQ $%d, %s", bytes, bases[i])
	}
	p("\tDECQ CX\n\tJNZ loop")
}

// int8Kernel512 multiplies with VPDPBUSD. A block of a row is 32 bytes, the scale
// and where the integer sums start: -128 times the sum of the bytes, since weights
// are stored with 128 added.
func int8Kernel512(rows int) {
	int8Head("int8x512x", rows)
	sum := 2 * int8Rows512
	for r := range 2 * rows {
		p("\tVPXORQ Z%d, Z%d, Z%d", sum+r, sum+r, sum+r)
	}
	fetch := func(from int) {
		ahead := from + panelBlock // from the second level of the cache
		if rows < 4 {
			ahead = from + 4*panelBlock // from memory
		}
		p("\tPREFETCHT0 %d(R12)\n\tPREFETCHT0 %d(R12)", ahead, ahead+64)
		if rows >= 4 {
			p("\tPREFETCHT1 (BX)\n\tPREFETCHT1 64(BX)\n\tADDQ R15, BX")
		}
	}
	p("loop:\n\tVMOVUPS (R12), Z28\n\tVMOVUPS 64(R12), Z29")
	fetch(0)
	for r := range rows {
		p("\tVPBROADCASTD %s, Z%d\n\tVMOVDQA32 Z%d, Z%d", at(r, 36), 2*r, 2*r, 2*r+1)
	}
	for q := range 8 {
		from := 128 + q*quad
		p("\tVMOVDQU32 %d(R12), Z24\n\tVMOVDQU32 %d(R12), Z25", from, from+64)
		fetch(from)
		for r := range rows {
			p("\tVPBROADCASTD %s, Z%d", at(r, 4*q), 26+r%2)
			p("\tVPDPBUSD Z%d, Z24, Z%d\n\tVPDPBUSD Z%d, Z25, Z%d", 26+r%2, 2*r, 26+r%2, 2*r+1)
		}
	}
	for r := range rows {
		p("\tVBROADCASTSS %s, Z%d", at(r, 32), 26+r%2)
		p("\tVCVTDQ2PS Z%d, Z%d\n\tVCVTDQ2PS Z%d, Z%d", 2*r, 2*r, 2*r+1, 2*r+1)
		p("\tVMULPS Z28, Z%d, Z30\n\tVMULPS Z29, Z%d, Z31", 26+r%2, 26+r%2)
		p("\tVFMADD231PS Z30, Z%d, Z%d\n\tVFMADD231PS Z31, Z%d, Z%d", 2*r, sum+2*r, 2*r+1, sum+2*r+1)
	}
	nextBlock(rows, 40)
	for r := range rows {
		p("\tVMOVUPS Z%d, (DX)\n\tVMOVUPS Z%d, 64(DX)", sum+2*r, sum+2*r+1)
		if r < rows-1 {
			p("\tADDQ R14, DX")
		}
	}
	p("\tVZEROUPPER\n\tRET\n")
}

// int8Kernel256 multiplies words with VPMADDWD: a block of a row is 32 words, the
// scale and where the sums start. A sum of 8 columns is two vectors, each of four
// columns' halves.
func int8Kernel256(rows int) {
	int8Head("int8x256x", rows)
	for r := range rows {
		p("\tVXORPS Y%d, Y%d, Y%d", 8+r, 8+r, 8+r)
	}
	p("loop:")
	for r := range 2 * rows {
		p("\tVPXOR Y%d, Y%d, Y%d", r, r, r)
	}
	for q := range 8 {
		from := 128 + q*quad
		p("\tVPMOVZXBW %d(R12), Y12\n\tVPMOVZXBW %d(R12), Y13", from, from+16)
		p("\tPREFETCHT0 %d(R12)", from+4*panelBlock)
		for r := range rows {
			p("\tVPBROADCASTQ %s, Y14", at(r, 8*q))
			p("\tVPMADDWD Y14, Y12, Y15\n\tVPADDD Y15, Y%d, Y%d", 2*r, 2*r)
			p("\tVPMADDWD Y14, Y13, Y15\n\tVPADDD Y15, Y%d, Y%d", 2*r+1, 2*r+1)
		}
	}
	p("\tVMOVUPS (R12), Y12")
	for r := range rows {
		p("\tVPHADDD Y%d, Y%d, Y%d\n\tVPERMQ $0xD8, Y%d, Y%d", 2*r+1, 2*r, 2*r, 2*r, 2*r)
		p("\tVPBROADCASTD %s, Y14\n\tVPADDD Y14, Y%d, Y%d\n\tVCVTDQ2PS Y%d, Y%d", at(r, 68), 2*r, 2*r, 2*r, 2*r)
		p("\tVBROADCASTSS %s, Y14\n\tVMULPS Y12, Y14, Y14\n\tVFMADD231PS Y14, Y%d, Y%d", at(r, 64), 2*r, 8+r)
	}
	nextBlock(rows, 72)
	for r := range rows {
		p("\tVMOVUPS Y%d, (DX)", 8+r)
		if r < rows-1 {
			p("\tADDQ R14, DX")
		}
	}
	p("\tVZEROUPPER\n\tRET\n")
}
