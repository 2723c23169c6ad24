// Package qed is QEMU's Enhanced Disk format, the one between qcow2's two versions: a header, a first table whose entries name second tables,
// and those name the disk's clusters. There are no reference counts: what is in the tables is used, and an image that was not closed is checked.
package qed

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"goemu/block"
)

var le = binary.LittleEndian

// Offsets in the header. All numbers are little-endian.
const (
	hdrCluster     = 4  // bytes
	hdrTable       = 8  // clusters of each table
	hdrHeader      = 12 // clusters of the header
	hdrFeatures    = 16
	hdrCompat      = 24
	hdrAutoclear   = 32
	hdrL1          = 40 // bytes
	hdrSize        = 48 // of the disk, bytes
	hdrBackingAt   = 56
	hdrBackingLen  = 60
	headerLen      = 64
	magic          = "QED\x00"
	featBacking    = 1
	featNeedCheck  = 2
	featRawBacking = 4 // the backing file is raw, whatever it looks like
	featKnown      = featBacking | featNeedCheck | featRawBacking

	sectorSize       = 512
	minCluster       = 4 << 10
	maxCluster       = 64 << 20
	clusterCreated   = 64 << 10
	maxTable         = 16
	tableCreated     = 4
	entryLen         = 8
	zeroCluster      = 1 // an entry of a second table: reads as zeroes
	maxBackingName   = 1023
	maxHeaderCluster = 1<<32 - 1
)

// header is the header as a driver needs it.
type header struct {
	cluster, table, clusters    uint32 // bytes; clusters of a table; clusters of the header
	features, compat, autoclear uint64
	l1, size                    uint64
	backingAt, backingLen       uint32
}

func parseHeader(b []byte) header {
	n, w := func(i int) uint32 { return le.Uint32(b[i:]) }, func(i int) uint64 { return le.Uint64(b[i:]) }
	return header{n(hdrCluster), n(hdrTable), n(hdrHeader), w(hdrFeatures), w(hdrCompat), w(hdrAutoclear), w(hdrL1), w(hdrSize), n(hdrBackingAt), n(hdrBackingLen)}
}

// bytes is the header as it is stored.
func (h *header) bytes() []byte {
	b := make([]byte, headerLen)
	copy(b, magic)
	for at, v := range map[int]uint32{hdrCluster: h.cluster, hdrTable: h.table, hdrHeader: h.clusters, hdrBackingAt: h.backingAt, hdrBackingLen: h.backingLen} {
		le.PutUint32(b[at:], v)
	}
	for at, v := range map[int]uint64{hdrFeatures: h.features, hdrCompat: h.compat, hdrAutoclear: h.autoclear, hdrL1: h.l1, hdrSize: h.size} {
		le.PutUint64(b[at:], v)
	}
	return b
}

func powerOfTwo(n uint64) bool { return n&(n-1) == 0 }

func validCluster(n uint64) bool { return n >= minCluster && n <= maxCluster && powerOfTwo(n) }

func validTable(n uint64) bool { return n >= 1 && n <= maxTable && powerOfTwo(n) }

// maxSize is the size of the largest disk, in 64 bits as QEMU computes it.
func maxSize(cluster, table uint64) uint64 {
	entries := table * cluster / entryLen
	return entries * cluster * entries
}

func validSize(size, cluster, table uint64) bool {
	return size%sectorSize == 0 && size <= maxSize(cluster, table) && size < 1<<63
}

// tableLen is the length of a table in bytes.
func (h *header) tableLen() int64 { return int64(h.table) * int64(h.cluster) }

// entries is the number of a table's entries.
func (h *header) entries() int64 { return h.tableLen() / entryLen }

// check validates a header; errors are QEMU's.
func (h *header) check() error {
	fail := func(text string) error { return block.Errorf(unix.EINVAL, "%s", text) }
	switch {
	case h.features&^featKnown != 0:
		return block.Errorf(unix.ENOTSUP, "Unsupported QED features: %x", h.features&^featKnown)
	case !validCluster(uint64(h.cluster)):
		return fail("QED cluster size is invalid")
	case !validTable(uint64(h.table)):
		return fail("QED table size is invalid")
	case !validSize(h.size, uint64(h.cluster), uint64(h.table)):
		return fail("QED image size is invalid")
	}
	return nil
}
