package weights

import (
	"fmt"
	"runtime/debug"
)

// reading runs f, which reads the mapped bytes of a file. A page whose bytes are
// gone (the file was cut short after it was opened, or its disk failed) raises a
// fault that would end the process; it becomes an error.
func reading(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if _, fault := p.(interface{ Addr() uintptr }); !fault {
			panic(p)
		}
		err = fmt.Errorf("%s can no longer be read: it was cut short after it was opened, or its disk failed", path)
	}()
	return f()
}
