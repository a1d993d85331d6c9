//go:build unix

package tokenward

import (
	"errors"
	"net"
	"syscall"
)

// isQuiet says that nothing waits to be read from an idle connection: no end of it, and no answer that nobody has asked for.
func isQuiet(connection net.Conn) bool {
	below, ok := connection.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := below.SyscallConn()
	if err != nil {
		return false
	}
	var nothing bool
	err = raw.Read(func(fd uintptr) bool {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		nothing = errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EWOULDBLOCK)
		return true
	})
	return err == nil && nothing
}
