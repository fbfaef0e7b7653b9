package tensor

import "golang.org/x/sys/cpu"

// neonChains is how many chains the loops run side by side.
const neonChains = 24

var peakNeon = peakKernels{fmaNeonAsm, dotNeonAsm, readNeon, 2 * 4 * neonChains, 2 * 16 * neonChains}

func peaks() peakKernels {
	if level != "neon" {
		return peakGo
	}
	loops := peakNeon
	if !cpu.ARM64.HasASIMDDP {
		loops.dot, loops.ops = peakGo.dot, peakGo.ops
	}
	return loops
}

func readNeon(x []float32) { readNeonAsm(&x[0], len(x)) }
