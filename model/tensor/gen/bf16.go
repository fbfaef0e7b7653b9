//go:build ignore

package main

// A row of a bfloat16 panel is 16 words of 32 bits: column j in the low half,
// column j+16 in the high one. A bfloat16 is the high half of its float32.

func loadBF16x512() {
	p("\tVMOVDQU32 (R12), Z29\n\tVPSLLD $16, Z29, Z28\n\tVPANDD ·bf16High(SB), Z29, Z29")
}

func loadBF16Low(at string) {
	p("\tVMOVDQU %s, Y12\n\tVMOVDQU 32%s, Y13", at, at)
	p("\tVPSLLD $16, Y12, Y12\n\tVPSLLD $16, Y13, Y13")
}

func loadBF16High(at string) {
	p("\tVMOVDQU %s, Y12\n\tVMOVDQU 32%s, Y13", at, at)
	p("\tVPAND ·bf16High(SB), Y12, Y12\n\tVPAND ·bf16High(SB), Y13, Y13")
}

func loadBF16Wide(at string, j int) {
	p("\tVMOVDQU %d%s, Y15", 32*(j%2), at)
	if j < 2 {
		p("\tVPSLLD $16, Y15, Y15")
		return
	}
	p("\tVPAND ·bf16High(SB), Y15, Y15")
}
