// Package memory models guest physical memory: regions form trees, a tree renders into an immutable flat view, and an address
// space answers accesses through that view. It knows no device, no CPU and no accelerator.
package memory

// Ops is how the owner of an I/O region answers accesses. offset is relative to the start of the region; size is 1, 2, 4 or 8 bytes;
// values are little endian numbers in the low size bytes. Accesses are made under the machine lock unless the region says otherwise.
type Ops interface {
	Read(offset uint64, size int) uint64
	Write(offset uint64, size int, value uint64)
}

// Result tells how an access ended.
type Result uint8

// The ways an access ends.
const (
	OK          Result = iota
	DecodeError        // nothing answers at the address
	DeviceError        // the device refused
)
