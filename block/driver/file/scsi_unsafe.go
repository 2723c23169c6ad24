package file

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// Requests of Linux' generic SCSI interface (scsi/sg.h) and of block devices.
const (
	sgIO         = 0x2285
	sgVersion    = 0x2282
	sgID         = 0x2276
	sgTableSize  = 0x227f
	blkSectorGet = 0x1267

	sgNone, sgToDevice, sgFromDevice = -1, -2, -3
	sgDirectIO                       = 1
	senseMax                         = 252
)

// sgHeader is struct sg_io_hdr.
type sgHeader struct {
	interfaceID          int32
	direction            int32
	cmdLen, senseLen     uint8
	iovecs               uint16
	length               uint32
	data, cdb, sense     unsafe.Pointer
	timeout, flags       uint32
	packID               int32
	user                 unsafe.Pointer
	status, masked       uint8
	message, senseGot    uint8
	host, driver         uint16
	residue              int32
	duration, infoUnused uint32
}

// sgSCSIID is struct sg_scsi_id.
type sgSCSIID struct {
	host, channel, id, lun, typ int32
	perLUN, depth               int16
	unused                      [2]int32
}

func (f *File) ioctl(request uintptr, arg unsafe.Pointer) error {
	return retry(func() error {
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(f.fd), request, uintptr(arg)); e != 0 {
			return e
		}
		return nil
	})
}

// SCSIVersion implements block.SCSIDevice.
func (n *Node) SCSIVersion() (int, error) {
	if !n.isDev {
		return 0, unix.ENOTSUP
	}
	var v int32
	err := n.ioctl(sgVersion, unsafe.Pointer(&v))
	return int(v), err
}

// SCSIType implements block.SCSIDevice.
func (n *Node) SCSIType() (uint8, error) {
	var id sgSCSIID
	err := n.ioctl(sgID, unsafe.Pointer(&id))
	return uint8(id.typ), err
}

// Generic implements block.SCSIDevice.
func (n *Node) Generic() bool { return n.generic }

// isGeneric tells whether the file is the character device of a SCSI device: reading it would wait for the reply to a command.
func (f *File) isGeneric() bool {
	var st unix.Stat_t
	if unix.Fstat(f.fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return false
	}
	var v int32
	var id sgSCSIID
	return f.ioctl(sgVersion, unsafe.Pointer(&v)) == nil && f.ioctl(sgID, unsafe.Pointer(&id)) == nil
}

// HardwareLimits implements block.SCSIDevice.
func (n *Node) HardwareLimits() (bytes, parts int64) {
	if n.generic {
		var b, p int32
		if n.ioctl(blkSectorGet, unsafe.Pointer(&b)) == nil {
			bytes = int64(b)
		}
		if n.ioctl(sgTableSize, unsafe.Pointer(&p)) == nil {
			parts = int64(p)
		}
		return max(bytes, 0), max(parts, 0)
	}
	var sectors uint16
	if n.ioctl(blkSectorGet, unsafe.Pointer(&sectors)) == nil {
		bytes = int64(sectors) * minSector
	}
	var st unix.Stat_t
	if unix.Fstat(n.fd, &st) == nil {
		b, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/queue/max_segments", unix.Major(st.Rdev), unix.Minor(st.Rdev)))
		if err == nil {
			parts, _ = strconv.ParseInt(strings.TrimSpace(string(b)), 10, 32)
		}
	}
	return bytes, max(parts, 0)
}

// SCSI implements block.SCSIDevice.
func (n *Node) SCSI(_ context.Context, r *block.SCSIRequest) error {
	if !n.isDev {
		return unix.ENOTSUP
	}
	sense := make([]byte, senseMax)
	h := &sgHeader{interfaceID: 'S', direction: sgNone, cmdLen: uint8(len(r.CDB)), senseLen: senseMax, cdb: unsafe.Pointer(&r.CDB[0]),
		sense: unsafe.Pointer(&sense[0]), timeout: uint32(r.Timeout / time.Millisecond), flags: sgDirectIO}
	switch {
	case len(r.In) > 0:
		h.direction, h.data, h.length = sgFromDevice, unsafe.Pointer(&r.In[0]), uint32(len(r.In))
	case len(r.Out) > 0:
		h.direction, h.data, h.length = sgToDevice, unsafe.Pointer(&r.Out[0]), uint32(len(r.Out))
	}
	err := n.ioctl(sgIO, unsafe.Pointer(h))
	runtime.KeepAlive(r)
	if err != nil {
		return err
	}
	r.Status, r.Host, r.Driver, r.Residue = uint16(h.status), h.host, h.driver, int(h.residue)
	r.Sense = sense[:min(int(h.senseGot), senseMax)]
	return nil
}

var _ block.SCSIDevice = (*Node)(nil)
