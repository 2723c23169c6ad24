package nbd

import (
	"os"

	"goemu/block"
	proto "goemu/block/nbdproto"

	"golang.org/x/sys/unix"
)

// Requests of the kernel's NBD devices (linux/nbd.h).
const (
	nbdSetSock       = 0xab00
	nbdSetBlockSize  = 0xab01
	nbdDoIt          = 0xab03
	nbdClearSock     = 0xab04
	nbdClearQueue    = 0xab05
	nbdSetSizeBlocks = 0xab07
	nbdDisconnect    = 0xab08
	nbdSetFlags      = 0xab0a
)

// deviceBlock is the smallest block of a device.
const deviceBlock = 512

// disconnectDevice handles -d.
func (c *command) disconnectDevice() int {
	f, err := os.OpenFile(c.file, os.O_RDWR, 0)
	if err != nil {
		c.Errorf("Cannot open %s: %s", c.file, block.Strerror(block.Errno(err)))
		return 1
	}
	defer f.Close()
	for _, req := range []uint{nbdClearQueue, nbdDisconnect, nbdClearSock} {
		unix.IoctlSetInt(int(f.Fd()), req, 0) // what is not connected needs no disconnecting
	}
	c.Printf("%s disconnected\n", c.file)
	return 0
}

// connectDevice makes the kernel a client of this server and returns when it is disconnected.
func (c *command) connectDevice() int {
	conn, err := c.address().Connect(c.Ctx)
	if err != nil {
		c.Report("", err)
		return 1
	}
	defer conn.Close()
	_, info, err := (&proto.Dialer{Plain: true}).Negotiate(conn, "")
	if err != nil {
		c.Report("", err)
		return 1
	}
	sock, err := conn.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		c.Errorf("Failed to set NBD socket")
		return 1
	}
	defer sock.Close()
	dev, err := os.OpenFile(c.device, os.O_RDWR, 0)
	if err != nil {
		c.Errorf("Failed to open %s: %s", c.device, block.Strerror(block.Errno(err)))
		return 1
	}
	defer dev.Close()
	fd := int(dev.Fd())
	for _, step := range []struct {
		req   uint
		value int
		what  string
	}{
		{nbdSetSock, int(sock.Fd()), "Failed to set NBD socket"},
		{nbdSetBlockSize, deviceBlock, "Failed setting NBD block size"},
		{nbdSetSizeBlocks, int(info.Size / deviceBlock), "Failed setting size (in blocks)"},
		{nbdSetFlags, int(info.Flags), "Failed setting flags"},
	} {
		if err := unix.IoctlSetInt(fd, step.req, step.value); err != nil {
			c.Errorf("%s", step.what)
			return 1
		}
	}
	go func() { // opening the device makes the kernel read its partition table
		if f, err := os.OpenFile(c.device, os.O_RDWR, 0); err == nil {
			f.Close()
		}
	}()
	if c.verbose && !c.fork {
		c.Err.Write([]byte("NBD device " + c.device + " is now connected to " + c.file + "\n"))
	} else if err := detach(); err != nil {
		return 1
	}
	err = unix.IoctlSetInt(fd, nbdDoIt, 0)
	unix.IoctlSetInt(fd, nbdClearQueue, 0)
	unix.IoctlSetInt(fd, nbdClearSock, 0)
	if err != nil && err != unix.EPIPE {
		return 1
	}
	return 0
}
