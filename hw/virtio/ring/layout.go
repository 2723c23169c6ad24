// Package ring is the device's side of a virtqueue, split (virtio 1.2, section 2.7) or packed (2.8): it takes chains of buffers that the
// driver made available and gives them back as used. It knows no transport and no device type. Nothing a driver writes can make it fail in any
// other way than by an Error, after which the device needs a reset.
package ring

// MaxSize is the largest number of entries of a queue and of buffers in one chain that goemu supports; it is QEMU's limit too.
const MaxSize = 1024

// Descriptor table entry: le64 address, le32 length, then le16 flags, le16 next in a split queue and le16 id, le16 flags in a packed one.
const (
	descSize = 16
	descLen  = 8
	descWord = 12
	descLast = 14

	flagNext     = 1
	flagWrite    = 2
	flagIndirect = 4
	flagAvail    = 1 << 7 // of a packed queue, as is the next
	flagUsed     = 1 << 15
)

// Available ring: le16 flags, le16 idx, le16 ring[num], le16 used_event.
const (
	availIdx  = 2
	availRing = 4

	availNoInterrupt = 1
)

// Used ring: le16 flags, le16 idx, {le32 id, le32 length} ring[num], le16 avail_event.
const (
	usedIdx      = 2
	usedRing     = 4
	usedElemSize = 8

	usedNoNotify = 1
)

// Event suppression of a packed queue: le16 place in the ring, with the wrap counter on top, le16 flags.
const (
	eventSize = 4
	eventWrap = 1 << 15

	eventEnable  = 0
	eventDisable = 1
	eventDesc    = 2 // at that place
)

// LegacyAlign is the alignment of the used ring in the layout of devices before virtio 1.0.
const LegacyAlign = 4096

// LegacyLayout gives the addresses of the available and used rings of a queue that only has one address.
func LegacyLayout(desc uint64, num uint32, align uint32) (avail, used uint64) {
	avail = desc + uint64(num)*descSize
	end := avail + availRing + 2*uint64(num) + 2
	a := max(uint64(align), 1)
	return avail, (end + a - 1) / a * a
}

// Error is a mistake of the driver that breaks the queue.
type Error string

// Error implements error.
func (e Error) Error() string { return string(e) }
