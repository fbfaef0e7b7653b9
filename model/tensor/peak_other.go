//go:build !amd64

package tensor

func peaks() peakKernels { return peakGo }
