package qcow2

import (
	"golang.org/x/sys/unix"
)

// writeHeader rewrites the first cluster from the image's state.
func (im *image) writeHeader() error {
	if err := checkCompression(im.compression, im.incompatible); err != nil {
		return err
	}
	b := make([]byte, im.clusterSize)
	w := headerWriter{b: b, pos: headerLen}
	if im.version == 2 {
		w.pos = headerLenV2
	}
	im.putHeader(b)
	w.bytes(im.unknownFields)
	im.putExtensions(&w)
	if im.backingName != "" {
		be.PutUint64(b[hdrBackingOffset:], uint64(w.pos))
		be.PutUint32(b[hdrBackingSize:], uint32(len(im.backingName)))
		w.bytes([]byte(im.backingName))
	}
	if w.full {
		return unix.ENOSPC
	}
	return im.file.Write(bg, 0, b, 0)
}

// putHeader writes the fixed fields.
func (im *image) putHeader(b []byte) {
	be.PutUint32(b[hdrMagic:], magic)
	be.PutUint32(b[hdrVersion:], uint32(im.version))
	be.PutUint32(b[hdrClusterBits:], uint32(im.clusterBits))
	be.PutUint64(b[hdrSize:], uint64(im.length.Load()))
	be.PutUint32(b[hdrCryptMethod:], im.crypt)
	be.PutUint32(b[hdrL1Size:], uint32(len(im.l1)))
	be.PutUint64(b[hdrL1Offset:], uint64(im.l1Offset))
	be.PutUint64(b[hdrRefTableOffset:], uint64(im.refTableOffset))
	be.PutUint32(b[hdrRefTableClusters:], uint32(len(im.refTable)>>(im.clusterBits-3)))
	be.PutUint32(b[hdrSnapshots:], uint32(len(im.snapshots)))
	be.PutUint64(b[hdrSnapshotsOffset:], uint64(im.snapshotsOffset))
	if im.version == 2 {
		return
	}
	be.PutUint64(b[hdrIncompatible:], im.incompatible)
	be.PutUint64(b[hdrCompatible:], im.compat)
	be.PutUint64(b[hdrAutoclear:], im.auto)
	be.PutUint32(b[hdrRefcountOrder:], uint32(im.refOrder))
	be.PutUint32(b[hdrLength:], uint32(headerLen+len(im.unknownFields)))
	b[hdrCompression] = im.compression
}

// putExtensions writes all header extensions in QEMU's order.
func (im *image) putExtensions(w *headerWriter) {
	if im.backingFormat != "" {
		w.extension(extBackingFormat, []byte(im.backingFormat))
	}
	if im.hasDataFile() && im.dataFileName != "" {
		w.extension(extDataFile, []byte(im.dataFileName))
	}
	if im.cryptExt != nil {
		w.extension(extCrypto, im.cryptExt)
	}
	if im.version >= 3 && im.clusterSize > 4096 {
		w.extension(extFeatureTable, encodeFeatures())
	}
	if im.bitmaps.count > 0 {
		w.extension(extBitmaps, im.bitmaps.encode())
	}
	for _, e := range im.unknownExts {
		w.extension(e.kind, e.data)
	}
	w.extension(extEnd, nil)
}

func encodeFeatures() []byte {
	b := make([]byte, len(featureNames)*featureLen)
	for i, f := range featureNames {
		e := b[i*featureLen:]
		e[0], e[1] = f.kind, f.bit
		copy(e[2:2+featureNameLen], f.name)
	}
	return b
}

// headerWriter appends to the header cluster and remembers when it is full.
type headerWriter struct {
	b    []byte
	pos  int
	full bool
}

func (w *headerWriter) bytes(p []byte) {
	if w.full = w.full || len(p) > len(w.b)-w.pos; !w.full {
		w.pos += copy(w.b[w.pos:], p)
	}
}

func (w *headerWriter) extension(kind uint32, data []byte) {
	e := make([]byte, extHeaderLen+(len(data)+7)&^7)
	be.PutUint32(e, kind)
	be.PutUint32(e[4:], uint32(len(data)))
	copy(e[extHeaderLen:], data)
	w.bytes(e)
}

// markDirty says in the header that refcounts may be wrong from now on.
func (im *image) markDirty() error {
	if im.incompatible&incDirty != 0 {
		return nil
	}
	if err := im.writeSync(hdrIncompatible, be.AppendUint64(nil, im.incompatible|incDirty)); err != nil {
		return err
	}
	im.incompatible |= incDirty
	return nil
}

// markClean writes all refcounts and takes the dirty bit away.
func (im *image) markClean() error {
	if im.incompatible&incDirty == 0 {
		return nil
	}
	im.incompatible &^= incDirty
	if err := im.flushCaches(); err != nil {
		return err
	}
	return im.writeHeader()
}

// markConsistent takes the corrupt bit away.
func (im *image) markConsistent() error {
	if im.incompatible&incCorrupt == 0 {
		return nil
	}
	if err := im.flushCaches(); err != nil {
		return err
	}
	im.incompatible &^= incCorrupt
	return im.writeHeader()
}
