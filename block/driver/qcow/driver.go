package qcow

import (
	"context"
	"math"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/luks"
)

// Names of options.
const (
	optSize        = "size"
	optBacking     = "backing_file"
	optBackingFmt  = "backing_fmt"
	optEncryption  = "encryption"
	cryptPrefix    = "encrypt."
	optCryptFormat = cryptPrefix + "format"
	optCryptSecret = cryptPrefix + luks.OptKeySecret
	formatAES      = "aes"
)

// Drivers is the format of this package.
var Drivers = []*block.Driver{{
	Name: "qcow", Probe: probe, Compresses: true, SupportsBacking: true, Open: open, Create: create, CreateNode: createNode,
	Options: []block.Option{
		{Name: optCryptFormat, Type: block.OptString, Help: "Format of the encryption (aes)", Fixed: true},
		{Name: optCryptSecret, Type: block.OptString, Help: "ID of secret providing qcow AES key", Fixed: true},
	},
	CreateOptions: []block.Option{
		{Name: optSize, Type: block.OptSize, Help: "Virtual disk size"},
		{Name: optBacking, Help: "File name of a base image"},
		{Name: optBackingFmt, Help: "Format of the backing image"},
		{Name: optEncryption, Type: block.OptBool, Help: "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)"},
		{Name: optCryptFormat, Help: "Encrypt the image, format choices: 'aes'"},
		{Name: optCryptSecret, Help: "ID of the secret that provides the AES encryption key"},
	},
	StrongOptions: []string{optCryptSecret},
}}

func probe(head []byte, _ string) int {
	if len(head) >= headerLen && string(head[:len(magic)]) == magic && be.Uint32(head[hdrVersion:]) == version {
		return 100
	}
	return 0
}

func open(ctx context.Context, n *block.Node, o *block.Options) (block.Instance, error) {
	format, _ := o.TakeString(optCryptFormat)
	secret, _ := o.TakeString(optCryptSecret)
	file, err := n.OpenChild(ctx, o, "file", block.RoleImage|block.RolePrimary, true)
	if err != nil {
		return nil, err
	}
	im := &image{node: n, file: file}
	if err := im.load(ctx); err != nil {
		return nil, err
	}
	if err := im.checkCrypt(format); err != nil {
		return nil, err
	}
	if im.h.crypt == cryptAES && !n.Mode().NoIO {
		if im.cipher, err = luks.Legacy(n.Graph(), cryptPrefix, secret); err != nil {
			return nil, err
		}
	}
	return im, nil
}

// checkCrypt compares the header's method with the one that the user named.
func (im *image) checkCrypt(format string) error {
	switch {
	case im.h.crypt == 0 && format != "":
		return block.Errorf(unix.EINVAL, "No encryption in image header, but options specified format '%s'", format)
	case im.h.crypt == 0:
		return nil
	case im.h.crypt != cryptAES:
		return block.Errorf(unix.EINVAL, "invalid encryption method in qcow header")
	case im.node.Graph().Guests:
		return &block.Error{Errno: unix.ENOSYS, Text: "Use of AES-CBC encrypted qcow images is no longer supported in system emulators",
			Hint: "You can use 'qemu-img convert' to convert your image to an alternative supported format, such as unencrypted qcow, or raw with the LUKS format instead."}
	case format != "" && format != formatAES:
		return block.Errorf(unix.EINVAL, "Header reported 'aes' encryption format but options specify '%s'", format)
	}
	return nil
}

// load reads the header, the first table and the name of the backing file.
func (im *image) load(ctx context.Context) error {
	_, h, length, err := block.ReadHeader(ctx, im.file, headerLen, parseHeader)
	if err != nil {
		return err
	}
	if h.l1 > math.MaxInt64-maxL1*entryLen {
		return unix.EIO
	}
	l1 := make([]byte, min(h.l1Entries*entryLen, max(length-int64(h.l1), 0))&^(entryLen-1)) // behind the end of the file are zeroes
	if err := im.file.Read(ctx, int64(h.l1), l1); err != nil {
		return unix.Errno(block.Errno(err))
	}
	name := ""
	if h.backingAt != 0 {
		if h.backingLen > maxBacking {
			return block.Errorf(unix.EINVAL, "Backing file name too long")
		}
		if h.backingAt > math.MaxInt64-maxBacking {
			return unix.EIO
		}
		b := make([]byte, h.backingLen)
		if err := im.file.Read(ctx, int64(h.backingAt), b); err != nil {
			return unix.Errno(block.Errno(err))
		}
		name = string(b)
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	im.h, im.l1, im.l2, im.backing = h, l1, map[int64][]byte{}, name
	im.end = max(length, int64(h.l1)+h.l1Entries*entryLen)
	return nil
}

// BackingFile implements block.Backed.
func (im *image) BackingFile() (filename, format string) { return im.backing, "" }

// Encrypted implements block.Encrypter.
func (im *image) Encrypted() bool { return im.h.crypt != 0 }

// Close implements block.Instance: everything is written already.
func (*image) Close() {}

// Length implements block.Lengther.
func (im *image) Length(context.Context) (int64, error) { return im.h.size, nil }

// RefreshLimits implements block.Limiter.
func (*image) RefreshLimits(l *block.Limits) error {
	l.RequestAlign = sectorSize
	return nil
}

// Info implements block.Informer.
func (im *image) Info() block.DriverInfo { return block.DriverInfo{ClusterSize: im.h.cluster} }

// HasZeroInit implements block.ZeroIniter.
func (*image) HasZeroInit(context.Context) bool { return true }

// ReopenPrepare implements block.Reopener; nothing can be changed.
func (*image) ReopenPrepare(context.Context, *block.Options, block.Mode) error { return nil }

// ReopenCommit implements block.Reopener.
func (*image) ReopenCommit() {}

// ReopenAbort implements block.Reopener.
func (*image) ReopenAbort() {}

// InvalidateCache implements block.Activater.
func (im *image) InvalidateCache(ctx context.Context) error { return im.load(ctx) }

// Inactivate implements block.Activater.
func (*image) Inactivate(context.Context) error { return nil }

// MakeEmpty implements block.Emptier.
func (im *image) MakeEmpty(ctx context.Context) error {
	im.mu.Lock()
	defer im.mu.Unlock()
	clear(im.l1)
	clear(im.l2)
	if err := im.file.Write(ctx, int64(im.h.l1), im.l1, 0); err != nil {
		return err
	}
	end := int64(im.h.l1) + im.h.l1Entries*entryLen
	if err := im.file.Truncate(ctx, end, false, block.PreallocOff, false); err != nil {
		return err
	}
	im.end = end
	return im.file.Flush(ctx)
}
