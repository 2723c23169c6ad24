// Package qcow is the format of QEMU's first growing disks (qcow, version 1): tables of two levels say where each cluster is, compressed ones
// lie anywhere. There are no reference counts and no snapshots in it; what it can do qcow2 does better.
package qcow

import (
	"encoding/binary"
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"goemu/block"
)

var be = binary.BigEndian

// Offsets of the header's fields. All numbers are big-endian, lengths are bytes.
const (
	hdrVersion     = 4
	hdrBackingAt   = 8
	hdrBackingLen  = 16
	hdrSize        = 24
	hdrClusterBits = 32
	hdrL2Bits      = 33
	hdrCrypt       = 36
	hdrL1          = 40
	headerLen      = 48

	magic      = "QFI\xfb"
	version    = 1
	sectorSize = 512
	entryLen   = 8
	cryptAES   = 1
	maxBacking = 1023
	maxL1      = math.MaxInt32 / entryLen

	minClusterBits, maxClusterBits = 9, 16
	minL2Bits, maxL2Bits           = 6, 13

	compressed = 1 << 63 // in an entry: below it are the length, and the place in as many bits as that leaves
)

// header is the decoded header.
type header struct {
	size          int64 // of the disk
	cluster       int64
	clusterBits   uint
	entries       int64 // of each second table
	crypt         uint32
	l1            uint64 // where the first table is
	l1Entries     int64
	backingAt     uint64
	backingLen    uint32
	bytesPerTable int64 // of the disk
}

// parseHeader checks and decodes the header; errors are QEMU's.
func parseHeader(b []byte) (h header, err error) {
	fail := func(text string) (header, error) { return h, block.Errorf(unix.EINVAL, "%s", text) }
	size := be.Uint64(b[hdrSize:])
	h.clusterBits = uint(b[hdrClusterBits])
	l2Bits := uint(b[hdrL2Bits])
	switch v := be.Uint32(b[hdrVersion:]); {
	case string(b[:len(magic)]) != magic:
		return fail("Image not in qcow format")
	case v != version:
		e := &block.Error{Errno: unix.ENOTSUP, Text: fmt.Sprintf("qcow (v1) does not support qcow version %d", v)}
		if v == 2 || v == 3 {
			e.Hint = "Try the 'qcow2' driver instead."
		}
		return h, e
	case size <= 1:
		return fail("Image size is too small (must be at least 2 bytes)")
	case h.clusterBits < minClusterBits || h.clusterBits > maxClusterBits:
		return fail("Cluster size must be between 512 and 64k")
	case l2Bits < minL2Bits || l2Bits > maxL2Bits:
		return fail("L2 table size must be between 512 and 64k")
	}
	h.crypt = be.Uint32(b[hdrCrypt:])
	h.cluster, h.entries = 1<<h.clusterBits, 1<<l2Bits
	h.bytesPerTable = h.cluster * h.entries
	if size > math.MaxInt64-uint64(h.bytesPerTable) || (int64(size)+h.bytesPerTable-1)/h.bytesPerTable > maxL1 {
		return fail("Image too large")
	}
	h.l1Entries = (int64(size) + h.bytesPerTable - 1) / h.bytesPerTable
	h.size = int64(size) / sectorSize * sectorSize
	h.l1, h.backingAt, h.backingLen = be.Uint64(b[hdrL1:]), be.Uint64(b[hdrBackingAt:]), be.Uint32(b[hdrBackingLen:])
	return h, nil
}
