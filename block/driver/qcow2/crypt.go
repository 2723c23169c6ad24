package qcow2

import (
	"context"
	"math"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/block/luks"
)

// Options about encryption; those of package luks come with the prefix.
const (
	cryptPrefix    = "encrypt."
	optCryptFormat = cryptPrefix + "format"
	optCryptSecret = cryptPrefix + luks.OptKeySecret
	optEncryption  = "encryption"
)

// cryptNames are the methods' names; QMP calls the first of them qcow when an image is made.
var cryptNames = map[uint32]string{cryptAES: "aes", cryptLUKS: "luks"}

// Encrypted implements block.Encrypter.
func (im *image) Encrypted() bool { return im.crypt != cryptNone }

// cryptStore is the encryption header inside the image.
type cryptStore struct{ im *image }

func (s cryptStore) place(off, n int64) (int64, error) {
	start, length := be.Uint64(s.im.cryptExt), be.Uint64(s.im.cryptExt[8:])
	if off < 0 || uint64(off) > length || uint64(n) > length-uint64(off) || start > math.MaxInt64-length {
		return 0, unix.EINVAL // outside of the header
	}
	return int64(start) + off, nil
}

// Read implements luks.Store.
func (s cryptStore) Read(ctx context.Context, off int64, b []byte) error {
	pos, err := s.place(off, int64(len(b)))
	if err != nil {
		return err
	}
	return s.im.file.Read(ctx, pos, b)
}

// Write implements luks.Store.
func (s cryptStore) Write(ctx context.Context, off int64, b []byte, fl block.Flags) error {
	pos, err := s.place(off, int64(len(b)))
	if err != nil {
		return err
	}
	return s.im.file.Write(ctx, pos, b, fl)
}

// checkCrypt compares the header's method with the options.
func (im *image) checkCrypt() error {
	name, known := cryptNames[im.crypt]
	given := im.rt.cryptFormat
	switch {
	case im.crypt == cryptNone && given != "":
		return block.Errorf(unix.EINVAL, "No encryption in image header, but options specified format '%s'", given)
	case im.crypt == cryptNone:
		return nil
	case !known:
		return block.Errorf(unix.EINVAL, "Unsupported encryption method %d", int32(im.crypt))
	case im.crypt == cryptAES && im.n.Graph().Guests:
		return &block.Error{Errno: unix.ENOSYS, Text: "Use of AES-CBC encrypted qcow2 images is no longer supported in system emulators",
			Hint: "You can use 'qemu-img convert' to convert your image to an alternative supported format, such as unencrypted qcow2, or raw with the LUKS format instead."}
	case given != "" && given != name:
		return block.Errorf(unix.EINVAL, "Header reported '%s' encryption format but options specify '%s'", name, given)
	}
	return nil
}

// openCrypt finds the key, unless only the metadata is read.
func (im *image) openCrypt(ctx context.Context, mode block.Mode) (err error) {
	g := im.n.Graph()
	switch {
	case im.crypt == cryptLUKS && im.cryptExt != nil:
		if im.vol, err = luks.Open(ctx, g, cryptStore{im}, cryptPrefix, im.rt.keySecret, mode.NoIO); err == nil {
			im.cipher = im.vol.Cipher
		}
	case im.crypt == cryptNone || mode.NoIO:
	case im.crypt == cryptAES:
		im.cipher, err = luks.Legacy(g, cryptPrefix, im.rt.keySecret)
	default:
		return block.Errorf(unix.EINVAL, "Missing CRYPTO header for crypt method %d", im.crypt)
	}
	return err
}

// sector is the number of the sector for the cipher: its place in the file, which LUKS takes, or on the disk.
func (im *image) sector(host, guest int64) uint64 {
	if im.crypt == cryptAES {
		host = guest
	}
	return uint64(host) / luks.SectorSize
}

// readData reads guest data that is not compressed.
func (im *image) readData(ctx context.Context, host, guest int64, iov [][]byte) error {
	switch {
	case im.data == nil || im.crypt != cryptNone && im.cipher == nil:
		return unix.EIO
	case im.crypt == cryptNone:
		return im.data.ReadV(ctx, host, iov, 0)
	}
	b := block.AlignedBuffer(block.IovLen(iov))
	if err := im.data.Read(ctx, host, b); err != nil {
		return err
	}
	im.cipher.Decrypt(im.sector(host, guest), b)
	block.IovScatter(iov, b)
	return nil
}

// writeData writes guest data.
func (im *image) writeData(ctx context.Context, host, guest int64, iov [][]byte) error {
	switch {
	case im.crypt == cryptNone:
		return im.data.WriteV(ctx, host, iov, 0)
	case im.cipher == nil:
		return unix.EIO
	}
	b := block.AlignedBuffer(block.IovLen(iov))
	block.IovGather(b, iov)
	im.cipher.Encrypt(im.sector(host, guest), b)
	return im.data.Write(ctx, host, b, 0)
}

// writeZeroData writes zeroes to a cluster of the disk wherever that is.
func (im *image) writeZeroData(host int64) error {
	if im.crypt == cryptNone {
		return im.data.WriteZeroes(bg, host, im.clusterSize, 0)
	}
	if im.crypt != cryptLUKS || im.cipher == nil {
		return unix.ENOTSUP // depends on the place on the disk
	}
	return im.writeData(bg, host, 0, [][]byte{make([]byte, im.clusterSize)})
}

// cryptInfo describes the encryption.
func (im *image) cryptInfo() []block.Member {
	if im.crypt == cryptNone || im.crypt == cryptLUKS && im.vol == nil {
		return nil
	}
	m := []block.Member{{Name: "format", Value: cryptNames[im.crypt]}}
	if im.vol != nil {
		m = append(m, im.vol.Info()...)
	}
	return []block.Member{{Name: "encrypt", Value: m}}
}

// cryptCreation is how a new image is to be encrypted.
type cryptCreation struct {
	method uint32
	params *luks.Params // LUKS
	secret string       // AES
}

// takeCryptCreation takes the options of a new image out of o.
func takeCryptCreation(o *block.Options) (c cryptCreation, err error) {
	format, given := o.TakeString(optCryptFormat)
	if o.Has(optEncryption) {
		on, err := o.TakeBool(optEncryption, false)
		switch {
		case err != nil:
			return c, err
		case on && given:
			return c, block.Errorf(unix.EINVAL, "'%s' and its alias '%s' can't be used at the same time", optCryptFormat, optEncryption)
		case on:
			format, given = "qcow", true
		}
	}
	switch {
	case !given && o.HasPrefix("encrypt"):
		return c, block.Errorf(unix.EINVAL, "Parameter '%s' is missing", optCryptFormat)
	case !given:
		return c, nil
	case format == "luks":
		c.method = cryptLUKS
		c.params, err = luks.TakeParams(o, cryptPrefix)
		return c, err
	case format != "aes" && format != "qcow":
		return c, badEnum("format", format)
	}
	c.method = cryptAES
	c.secret, _ = o.TakeString(optCryptSecret)
	for _, name := range o.Names() {
		if len(name) > len(cryptPrefix) && name[:len(cryptPrefix)] == cryptPrefix {
			return c, block.Errorf(unix.EINVAL, "Parameter '%s' is unexpected", name)
		}
	}
	return c, nil
}

// setUp makes a new image encrypted. The lock is held.
func (c *cryptCreation) setUp(ctx context.Context, im *image) (err error) {
	g := im.n.Graph()
	switch c.method {
	case cryptNone:
		return nil
	case cryptAES:
		if im.cipher, err = luks.Legacy(g, cryptPrefix, c.secret); err != nil {
			return err
		}
	case cryptLUKS:
		if err := c.params.Check(g); err != nil {
			return err
		}
		n := c.params.Payload()
		off, err := im.allocClusters(n)
		if err != nil {
			return block.Errnof(block.Errno(err), "Cannot allocate cluster for LUKS header size %d", n)
		}
		if err := im.file.WriteZeroes(bg, off, (n+im.clusterSize-1)&^(im.clusterSize-1), 0); err != nil {
			return block.Errnof(block.Errno(err), "Could not zero fill encryption header")
		}
		im.cryptExt = be.AppendUint64(be.AppendUint64(nil, uint64(off)), uint64(n))
		if im.vol, err = luks.Create(ctx, g, c.params, cryptStore{im}); err != nil {
			return err
		}
		im.cipher = im.vol.Cipher
	}
	im.crypt = c.method
	if err := im.writeHeader(); err != nil {
		return block.Errnof(block.Errno(err), "Could not write encryption header")
	}
	return nil
}

// amendCrypt changes passwords, if o says so.
func (im *image) amendCrypt(ctx context.Context, o *block.Options, force bool) error {
	switch {
	case !o.HasPrefix("encrypt"):
		return nil
	case im.crypt == cryptNone:
		return block.Errorf(unix.EINVAL, "Can't amend encryption options - encryption not present")
	case im.crypt != cryptLUKS || im.vol == nil:
		return block.Errorf(unix.ENOTSUP, "Only LUKS encryption options can be amended")
	}
	return im.vol.Amend(ctx, im.n.Graph(), cryptStore{im}, o, cryptPrefix, force)
}
