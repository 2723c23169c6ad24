package luks

import (
	"bytes"
	"slices"

	"golang.org/x/sys/unix"

	"goemu/block"
	"goemu/internal/secret"
)

// Names of options. qcow2 has them with "encrypt." before.
const (
	OptKeySecret  = "key-secret"
	optCipherAlg  = "cipher-alg"
	optCipherMode = "cipher-mode"
	optIVGen      = "ivgen-alg"
	optIVGenHash  = "ivgen-hash-alg"
	optHash       = "hash-alg"
	optIterTime   = "iter-time"
	optState      = "state"
	optKeyslot    = "keyslot"
	optOldSecret  = "old-secret"
	optNewSecret  = "new-secret"
	optSecret     = "secret"
)

// defaultIterTime is how long a password is made to last, in milliseconds.
const defaultIterTime = 2000

// CreateOptions are the options for a new image.
var CreateOptions = []block.Option{
	{Name: OptKeySecret, Help: "ID of the secret that provides the keyslot passphrase"},
	{Name: optCipherAlg, Help: "Name of encryption cipher algorithm"},
	{Name: optCipherMode, Help: "Name of encryption cipher mode"},
	{Name: optIVGen, Help: "Name of IV generator algorithm"},
	{Name: optIVGenHash, Help: "Name of IV generator hash algorithm"},
	{Name: optHash, Help: "Name of encryption hash algorithm"},
	{Name: optIterTime, Type: block.OptNumber, Help: "Time to spend in PBKDF in milliseconds"},
}

// AmendOptions are the options for changing key slots.
var AmendOptions = []block.Option{
	{Name: optState, Help: "Select new state of affected keyslots (active/inactive)"},
	{Name: optKeyslot, Type: block.OptNumber, Help: "Select a single keyslot to modify explicitly"},
	{Name: optOldSecret, Help: "Select all keyslots that match this password"},
	{Name: optNewSecret, Help: "New secret to set in the matching keyslots. Empty string to erase"},
	{Name: optIterTime, Type: block.OptNumber, Help: "Time to spend in PBKDF in milliseconds"},
}

// Prefixed gives options a prefix.
func Prefixed(prefix string, list []block.Option) []block.Option {
	out := slices.Clone(list)
	for i := range out {
		out[i].Name = prefix + out[i].Name
	}
	return out
}

// Password finds the secret of that name. prefix is that of the option which names it.
func Password(g *block.Graph, prefix, id string) ([]byte, error) {
	if id == "" {
		return nil, bad("Parameter '%s%s' is required for cipher", prefix, OptKeySecret)
	}
	find := g.Object
	if find == nil {
		find = func(string) any { return nil }
	}
	s, err := secret.Find(find, id)
	if err != nil {
		return nil, bad("%s", err)
	}
	text, err := s.Text(id)
	if err != nil {
		return nil, bad("%s", err)
	}
	password, _, _ := bytes.Cut([]byte(text), []byte{0})
	return password, nil
}

// Params say how a new image is to be encrypted.
type Params struct {
	prefix   string
	secret   string
	spec     Spec
	hash     string
	iterTime uint64 // milliseconds
}

// TakeParams takes the options, whose names have a prefix, out of o.
func TakeParams(o *block.Options, prefix string) (*Params, error) {
	p := &Params{prefix: prefix}
	p.secret, _ = o.TakeString(prefix + OptKeySecret)
	var err error
	choose := func(name, def string, list []string) string {
		v, ok := o.TakeString(prefix + name)
		if !ok {
			return def
		}
		if !known(list, v) && err == nil {
			err = bad("Parameter '%s' does not accept value '%s'", name, v)
		}
		return v
	}
	var algNames, hashNames []string
	for _, a := range algs {
		algNames = append(algNames, a.name)
	}
	for _, h := range hashes {
		hashNames = append(hashNames, h.name)
	}
	p.spec.Alg = choose(optCipherAlg, "aes-256", algNames)
	p.spec.Mode = choose(optCipherMode, ModeXTS, modes)
	p.spec.IV = choose(optIVGen, IVPlain64, ivs)
	def := ""
	if p.spec.IV == IVEssiv {
		def = "sha256"
	}
	p.spec.IVHash = choose(optIVGenHash, def, hashNames)
	p.hash = choose(optHash, "sha256", hashNames)
	if err != nil {
		return nil, err
	}
	p.iterTime, err = takeNumber(o, prefix, optIterTime, defaultIterTime)
	return p, err
}

// takeNumber takes a number that fits QEMU's type int.
func takeNumber(o *block.Options, prefix, name string, def uint64) (uint64, error) {
	n, err := o.TakeUint(prefix+name, def)
	if err == nil && n > 1<<63-1 {
		return 0, block.Errorf(unix.EINVAL, "Parameter '%s%s' expects uint64", prefix, name)
	}
	return n, err
}
