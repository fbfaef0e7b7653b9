package bench

import (
	"runtime"

	"refreekv/model/tensor"
)

// Machine says where it was measured.
type Machine struct {
	CPU     string `json:"cpu"`
	System  string `json:"system"` // operating system and architecture
	Go      string `json:"go"`
	Kernels string `json:"kernels"` // see [tensor.Level]
	Threads int    `json:"threads"`
	// Bytes of a core's second-level cache and of the last level, which cores share;
	// 0 where the system does not tell.
	L2 int64 `json:"l2_bytes,omitempty"`
	L3 int64 `json:"l3_bytes,omitempty"`
}

func thisMachine() Machine {
	m := Machine{
		CPU: tensor.Processor(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
		Kernels: tensor.Level(), Threads: tensor.Threads(),
	}
	m.L2, m.L3 = caches()
	return m
}
