package tool

import "goemu/block"

// cacheMode is a value of -t.
type cacheMode struct{ direct, noFlush, writethrough bool }

var cacheModes = map[string]cacheMode{
	"none":         {direct: true},
	"off":          {direct: true},
	"directsync":   {direct: true, writethrough: true},
	"writeback":    {},
	"unsafe":       {noFlush: true},
	"writethrough": {writethrough: true},
}

// SetCache applies a cache mode; ok is false for an unknown one.
func SetCache(m *block.Mode, name string) (writethrough, ok bool) {
	c, ok := cacheModes[name]
	if ok {
		m.Direct, m.NoFlush = c.direct, c.noFlush
	}
	return c.writethrough, ok
}

// SetDiscard applies a discard mode.
func SetDiscard(m *block.Mode, name string) (ok bool) {
	switch name {
	case "off", "ignore":
		m.Unmap = false
	case "on", "unmap":
		m.Unmap = true
	default:
		return false
	}
	return true
}

// SetAIO applies a way of asynchronous I/O.
func SetAIO(m *block.Mode, name string) (ok bool) {
	switch name {
	case "threads", "native", "io_uring":
		m.AIO = name
		return true
	}
	return false
}
