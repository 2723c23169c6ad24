package nvme

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"goemu/block"
	"goemu/hw/disk"
	"goemu/hw/qdev"
)

var be = binary.BigEndian

// nsOptions are the options of a namespace of its own device. One of a controller's own drive has no ranges for copying.
type nsOptions struct {
	Detached  bool          `prop:"detached,default=false"`
	Shared    bool          `prop:"shared,default=true"`
	NSID      uint32        `prop:"nsid,default=0"`
	UUID      namespaceUUID `prop:"uuid,default=auto" help:"UUID (aka GUID) or \"auto\" for random value (default)"`
	EUI64     uint64        `prop:"eui64,default=0"`
	MaxRange  uint16        `prop:"mssrl,default=128"`
	MaxCopy   uint32        `prop:"mcl,default=128"`
	MaxRanges uint8         `prop:"msrc,default=127"`
	zoneOptions
	DefaultEUI64 bool `prop:"eui64-default,default=false"`
}

// namespaceUUID is an identifier whose default is not shown.
type namespaceUUID struct{ qdev.UUID }

// HideDefault keeps the default out of help texts.
func (namespaceUUID) HideDefault() {}

// Namespace is the device type nvme-ns, or the namespace of a controller's own drive.
type Namespace struct {
	qdev.Base
	disk.Options
	nsOptions

	user       string // who takes the disk
	backend    *block.Backend
	size       int64
	shift      uint // of a block
	flbas      uint8
	formats    [16]uint8 // shifts of the blocks of formats, 0 for none
	nformats   int
	recovery   uint32
	formatting bool
	owner      *Controller // on whose bus it was put
	attached   int         // controllers that have it
	zones      *zones      // nil: blocks can be written in any order
	noErrors   bool        // reads of deallocated blocks cannot fail
}

// eui64Base and eui64Count make identifiers for namespaces that are to have one; the count is guarded by the machine lock.
const eui64Base = 0x5254000000000000

var eui64Count uint64

// Realize implements qdev.Device.
func (n *Namespace) Realize() error {
	c := n.Parent().(*nsBus).ctrl
	switch {
	case c == nil:
		return errors.New("a namespace has to be on the bus of a controller")
	case c.Subsys != nil:
		qdev.Move(n, &c.Subsys.bus)
	case n.Detached:
		return errors.New("detached requires that the nvme device is linked to an nvme-subsys device")
	default:
		n.Shared = false
	}
	n.owner, n.user = c, n.IDOrPath()
	if err := n.setup(); err != nil {
		return err
	}
	if err := n.number(c); err != nil {
		n.release()
		return err
	}
	if c.Subsys != nil {
		c.Subsys.add(n, c)
	} else {
		c.attach(n)
	}
	return nil
}

// number gives the namespace its number.
func (n *Namespace) number(c *Controller) error {
	taken := func(id uint32) bool { return c.ns(id) != nil || c.Subsys.ns(id) != nil }
	if n.NSID != 0 {
		if taken(n.NSID) {
			return fmt.Errorf("namespace id '%d' already allocated", n.NSID)
		}
		return nil
	}
	for i := uint32(1); i <= maxNamespaces; i++ {
		if !taken(i) {
			n.NSID = i
			return nil
		}
	}
	return errors.New("no free namespace id")
}

// Unrealize implements qdev.Device.
func (n *Namespace) Unrealize() {
	if s := n.owner.Subsys; s != nil {
		s.remove(n)
	} else {
		n.owner.detach(n)
	}
	n.release()
}

func (n *Namespace) release() {
	if n.backend != nil {
		n.flush()
		n.Drive.Release()
		n.backend = nil
	}
}

// setup checks the options and takes the disk.
func (n *Namespace) setup() error {
	switch {
	case n.Drive == nil:
		return errors.New("block backend not configured")
	case n.NSID > maxNamespaces:
		return fmt.Errorf("invalid namespace id (must be between 0 and %d)", maxNamespaces)
	}
	if err := n.checkZones(uint64(max(n.LogicalBlock, 512))); err != nil {
		return err
	}
	if err := n.CheckSizes(); err != nil {
		return err
	}
	b, err := n.Claim(n.user, false, false)
	if err != nil {
		return err
	}
	if b.Node() == nil {
		n.Drive.Release()
		return errors.New("Device needs media, but drive is empty")
	}
	n.backend = b
	if n.DiscardGrain == disk.DefaultDiscardGrain {
		n.DiscardGrain = max(n.LogicalBlock, minGrain)
	}
	if n.size, err = b.Length(context.Background()); err != nil {
		n.release()
		return fmt.Errorf("could not get blockdev size: %w", err)
	}
	if eui64Count++; n.EUI64 == 0 && n.DefaultEUI64 {
		n.EUI64 = eui64Base + eui64Count
	}
	n.formats[0], n.formats[format4K], n.nformats = 9, 12, standardFormats
	n.shift = uint(bits.TrailingZeros64(uint64(n.LogicalBlock)))
	for n.flbas = 0; n.formats[n.flbas] != uint8(n.shift); n.flbas++ {
		if int(n.flbas) == n.nformats {
			n.formats[n.flbas] = uint8(n.shift)
			n.nformats++
			break
		}
	}
	if n.Zoned {
		if n.zones, err = newZones(n.zoneOptions, n.blocks(), n.shift); err != nil {
			n.release()
			return err
		}
		if grain := n.grain(); n.zones.size%grain != 0 {
			n.noErrors = true
			n.Warn(fmt.Sprintf("the zone size (%d blocks) is not a multiple of the calculated deallocation granularity (%d blocks); DULBE support disabled", n.zones.size, grain))
		}
	}
	return nil
}

// csi is the number of the namespace's command set.
func (n *Namespace) csi() uint8 {
	if n.zones != nil {
		return csiZoned
	}
	return csiNVM
}

// Formats: those of QEMU have metadata beside blocks of 512 and 4096 bytes, and are not available here.
const (
	format4K, standardFormats = 4, 8
	minGrain                  = 4096
)

// blocks is the size of the namespace.
func (n *Namespace) blocks() uint64 {
	if n.zones != nil {
		return n.zones.blocks()
	}
	return uint64(n.size) >> n.shift
}

// grain is how many blocks are deallocated together.
func (n *Namespace) grain() uint64 {
	if i, ok := n.backend.Node().Info(); ok && i.ClusterSize > int64(n.DiscardGrain) {
		return uint64(i.ClusterSize) >> n.shift
	}
	return uint64(n.DiscardGrain) >> n.shift
}

// flush writes everything to the disk, of which nobody is left to hear of a failure, and closes zones.
func (n *Namespace) flush() {
	_ = n.backend.Flush(context.Background())
	if n.zones != nil {
		n.zones.shutdown()
	}
}

// Identify namespace (section 5.15.2.1).
const (
	nsSize, nsCapacity, nsUsed                    = 0, 8, 16
	nsFeatures, nsFormats, nsFormat               = 24, 25, 26
	nsDealloc, nsGrain, nsGrainAlign              = 33, 68, 70
	nsRange, nsCopy, nsRanges, nsEUI64, nsFormat0 = 74, 76, 80, 120, 128

	featDeallocError = 1 << 2
	featIOHints      = 1 << 4
	deallocZero      = 1
)

func (n *Namespace) identify(b []byte) {
	size := n.blocks()
	for _, at := range []int{nsSize, nsCapacity, nsUsed} {
		le.PutUint64(b[at:], size)
	}
	b[nsFeatures], b[nsFormats], b[nsFormat] = featDeallocError|featIOHints, uint8(n.nformats-1), n.flbas
	if n.noErrors {
		b[nsFeatures] &^= featDeallocError
	}
	if n.Shared {
		b[30] = 1
	}
	b[nsDealloc] = deallocZero
	grain := n.grain()
	le.PutUint16(b[nsGrain:], uint16(grain-1))
	le.PutUint16(b[nsGrainAlign:], uint16(grain-1))
	le.PutUint16(b[nsRange:], n.MaxRange)
	le.PutUint32(b[nsCopy:], n.MaxCopy)
	b[nsRanges] = n.MaxRanges
	be.PutUint64(b[nsEUI64:], n.EUI64)
	for i, s := range n.formats {
		b[nsFormat0+4*i+2] = s
	}
}

// BootPlace implements qdev.Bootable.
func (n *Namespace) BootPlace() (index int32, suffix string, ok bool) {
	return n.BootIndex.N, fmt.Sprintf("/namespace@%d,0", n.NSID), n.BootIndex.Set
}
