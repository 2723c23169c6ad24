package user

import "syscall"

// fdOf is the number of a socket's descriptor, for people to read; -1 for what has none.
func fdOf(v any) int {
	n := -1
	c, ok := v.(syscall.Conn)
	if !ok {
		return n
	}
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { n = int(fd) })
	}
	return n
}
