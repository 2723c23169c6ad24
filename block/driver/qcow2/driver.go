package qcow2

import (
	"context"
	"slices"

	"goemu/block"
	"goemu/block/luks"
)

// commonOptions are options of both create and amend.
var commonOptions = []block.Option{
	{Name: "size", Type: block.OptSize, Help: "Virtual disk size"},
	{Name: "compat", Type: block.OptString, Help: "Compatibility level (v2 [0.10] or v3 [1.1])"},
	{Name: "backing_file", Type: block.OptString, Help: "File name of a base image"},
	{Name: "backing_fmt", Type: block.OptString, Help: "Image format of the base image"},
	{Name: "data_file", Type: block.OptString, Help: "File name of an external data file"},
	{Name: "data_file_raw", Type: block.OptBool, Help: "The external data file must stay valid as a raw image"},
	{Name: "lazy_refcounts", Type: block.OptBool, Help: "Postpone refcount updates", Default: "off"},
	{Name: "refcount_bits", Type: block.OptNumber, Help: "Width of a reference count entry in bits", Default: "16"},
}

var createOptions = slices.Concat([]block.Option{
	{Name: optEncryption, Type: block.OptBool, Help: "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)"},
	{Name: optCryptFormat, Type: block.OptString, Help: "Encrypt the image, format choices: 'aes', 'luks'"},
	{Name: optCryptSecret, Type: block.OptString, Help: "ID of secret providing qcow AES key or LUKS passphrase"},
}, luks.Prefixed(cryptPrefix, luks.CreateOptions[1:]), []block.Option{
	{Name: "cluster_size", Type: block.OptSize, Help: "qcow2 cluster size", Default: "65536"},
	{Name: "extended_l2", Type: block.OptBool, Help: "Extended L2 tables", Default: "off"},
	{Name: "preallocation", Type: block.OptString, Help: "Preallocation mode (allowed values: off, metadata, falloc, full)"},
	{Name: "compression_type", Type: block.OptString, Help: "Compression method used for image cluster compression", Default: "zlib"},
}, commonOptions)

// Drivers lists the driver of the format.
var Drivers = []*block.Driver{{
	Name:            "qcow2",
	Options:         openOptions,
	Probe:           probe,
	SupportsBacking: true,
	Compresses:      true,
	Open:            open,
	Create:          create,
	CreateNode:      createNode,
	CreateOptions:   createOptions,
	AmendOptions:    slices.Concat(luks.Prefixed(cryptPrefix, luks.AmendOptions), commonOptions),
	StrongOptions:   []string{optCryptSecret},
	Measure:         measure,
}}

// probe recognises the format by its magic number and version.
func probe(head []byte, _ string) int {
	if len(head) >= headerLenV2 && be.Uint32(head) == magic && be.Uint32(head[hdrVersion:]) >= 2 {
		return 100
	}
	return 0
}

// RefreshLimits implements block.Limiter.
func (im *image) RefreshLimits(l *block.Limits) error {
	if im.crypt != cryptNone {
		l.RequestAlign = luks.SectorSize
	}
	l.WriteZeroesAlign, l.DiscardAlign = im.subSize, im.clusterSize
	if im.version >= 3 {
		l.ZeroFlags = block.MayUnmap | block.NoFallback
	}
	return nil
}

// Info implements block.Informer.
func (im *image) Info() block.DriverInfo {
	im.mu.Lock()
	defer im.mu.Unlock()
	return block.DriverInfo{ClusterSize: im.clusterSize, SubclusterSz: im.subSize, VMStateOffset: im.vmStateOffset(), Dirty: im.incompatible&incDirty != 0}
}

// BackingFile implements block.Backed.
func (im *image) BackingFile() (filename, format string) { return im.backingName, im.backingFormat }

// ChangeBacking implements block.BackingChanger.
func (im *image) ChangeBacking(_ context.Context, filename, format string) error {
	if err := im.lock(); err != nil {
		return err
	}
	defer im.mu.Unlock()
	return im.setBacking(filename, format)
}

// SpecificInfo implements block.SpecificInformer.
func (im *image) SpecificInfo(context.Context) ([]block.Member, error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	data, err := im.specificData()
	return []block.Member{{Name: "type", Value: "qcow2"}, {Name: "data", Value: data}}, err
}

// specificData is what SpecificInfo says of this image.
func (im *image) specificData() ([]block.Member, error) {
	// The order is that of QEMU's output.
	if im.version == 2 {
		list := []block.Member{{Name: "compat", Value: "0.10"}, {Name: "compression-type", Value: "zlib"}, {Name: "refcount-bits", Value: int64(16)}}
		return append(list, im.cryptInfo()...), nil
	}
	list := []block.Member{{Name: "compat", Value: "1.1"}, {Name: "compression-type", Value: compressionNames[im.compression]}}
	list = append(list, block.Member{Name: "lazy-refcounts", Value: im.compat&compLazyRefcounts != 0})
	if im.bitmaps.count > 0 {
		b, err := im.bitmapInfo()
		if err != nil {
			return nil, err
		}
		list = append(list, block.Member{Name: "bitmaps", Value: b})
	}
	list = append(list, block.Member{Name: "refcount-bits", Value: int64(1) << im.refOrder})
	if im.dataFileName != "" {
		list = append(list, block.Member{Name: "data-file", Value: im.dataFileName})
	}
	if im.hasDataFile() {
		list = append(list, block.Member{Name: "data-file-raw", Value: im.rawDataFile()})
	}
	list = append(list, block.Member{Name: "corrupt", Value: im.incompatible&incCorrupt != 0})
	list = append(list, block.Member{Name: "extended-l2", Value: im.hasSubclusters()})
	return append(list, im.cryptInfo()...), nil
}

// bitmapInfo describes the stored bitmaps.
func (im *image) bitmapInfo() ([]any, error) {
	stored, err := im.readBitmapDir()
	if err != nil {
		return nil, err
	}
	var list []any
	for _, s := range stored {
		flags := []any{}
		if s.flags&bitmapInUse != 0 {
			flags = append(flags, "in-use")
		}
		if s.flags&bitmapAuto != 0 {
			flags = append(flags, "auto")
		}
		list = append(list, []block.Member{{Name: "flags", Value: flags}, {Name: "name", Value: s.name}, {Name: "granularity", Value: int64(1) << s.granularity}})
	}
	return list, nil
}
