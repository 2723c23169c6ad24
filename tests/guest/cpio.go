package guest

import (
	"fmt"
	"io"
)

// cpio writes an archive in the "newc" form that Linux unpacks as an initramfs (Documentation/driver-api/early-userspace/buffer-format).
type cpio struct {
	w   io.Writer
	ino int
	pos int64
	err error
}

// Modes of archive members.
const (
	modeDir  = 0o040755
	modeFile = 0o100644
	modeExec = 0o100755
	modeLink = 0o120777
	modeChr  = 0o020600
)

func (c *cpio) put(b []byte) {
	if c.err == nil {
		_, c.err = c.w.Write(b)
	}
	c.pos += int64(len(b))
}

// align pads to a multiple of four bytes.
func (c *cpio) align() { c.put(make([]byte, -c.pos&3)) }

// add appends one member; for modeChr, major and minor are the device's.
func (c *cpio) add(name string, mode uint32, data []byte, major, minor int) {
	c.ino++
	c.put(fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		c.ino, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name)+1, 0))
	c.put(append([]byte(name), 0))
	c.align()
	c.put(data)
	c.align()
}

// close ends the archive.
func (c *cpio) close() error {
	c.add("TRAILER!!!", 0, nil, 0, 0)
	return c.err
}
