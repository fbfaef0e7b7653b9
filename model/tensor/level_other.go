//go:build !amd64 && !arm64

package tensor

func available() []string { return []string{"go"} }

func use(name string) {
	level, tile, tileRows, taskRows, vector = name, tileGo, mostRows, mostRows, vectorGo
	tileHalves, int8Kernels = tileHalvesGo, int8Go
}
