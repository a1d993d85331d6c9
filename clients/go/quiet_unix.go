//go:build unix

package tokenward

import (
	"errors"
	"net"
	"syscall"
)

// quietness looks, each time it is asked, whether nothing waits to be read from an idle connection: no end of it, and no answer that nobody
// has asked for.
func quietness(connection net.Conn) func() bool {
	below, ok := connection.(syscall.Conn)
	if !ok {
		return func() bool { return true }
	}
	raw, err := below.SyscallConn()
	if err != nil {
		return func() bool { return false }
	}
	var nothing bool
	var one [1]byte
	look := func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		nothing = errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EWOULDBLOCK)
		return true
	}
	return func() bool { return raw.Read(look) == nil && nothing }
}
