package reactor

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// send writes b to a non-blocking socket with one system call and returns how
// much the kernel took. It does not tell the Go scheduler, which is a quarter
// of the cost of a small write and of use only to calls that block; this one
// never does.
func send(fd int, b []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
