package x86

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// cpuProps are the properties of a CPU that are not feature bits.
var cpuProps = addHyperV(map[string]func(c *Config, s string) error{
	"level":                 number(func(c *Config, n uint64) error { c.Level, c.fixed.level = uint32(n), true; return nil }),
	"xlevel":                number(func(c *Config, n uint64) error { c.XLevel, c.fixed.xlevel = uint32(n), true; return nil }),
	"xlevel2":               number(func(c *Config, n uint64) error { c.XLevel2, c.fixed.xlevel2 = uint32(n), true; return nil }),
	"min-level":             number(func(c *Config, n uint64) error { c.Level = max(c.Level, uint32(n)); return nil }),
	"min-xlevel":            number(func(c *Config, n uint64) error { c.XLevel = max(c.XLevel, uint32(n)); return nil }),
	"family":                number(func(c *Config, n uint64) error { c.edit(func(m *Model) { m.Family = int(n) }); return nil }),
	"model":                 number(func(c *Config, n uint64) error { c.edit(func(m *Model) { m.Model = int(n) }); return nil }),
	"stepping":              number(func(c *Config, n uint64) error { c.edit(func(m *Model) { m.Stepping = int(n) }); return nil }),
	"apic-id":               number(func(*Config, uint64) error { return nil }), // the topology's has the last word
	"tsc-frequency":         number(func(c *Config, n uint64) error { c.TSCFrequency = n; return nil }),
	"phys-bits":             number(physBits),
	"model-id":              func(c *Config, s string) error { c.edit(func(m *Model) { m.ModelID = s }); return nil },
	"vendor":                vendor,
	"tcg-cpuid":             boolean(func(c *Config, on bool) { c.HideHypervisor = !on }),
	"kvm":                   boolean(func(c *Config, on bool) { c.HideKVM = !on }),
	"vmware-cpuid-freq":     boolean(func(c *Config, on bool) { c.HideFrequency = !on }),
	"migratable":            migratable,
	"host-phys-bits":        boolean(func(*Config, bool) {}),
	"l3-cache":              boolean(func(*Config, bool) {}),
	"legacy-cache":          boolean(func(*Config, bool) {}),
	"full-cpuid-auto-level": boolean(func(*Config, bool) {}),
	"check":                 boolean(func(c *Config, on bool) { c.quiet = !on }),
	"enforce":               boolean(func(c *Config, on bool) { c.enforce = on }),
	"pmu":                   boolean(func(c *Config, on bool) { c.PMU = on }),
	"host-cache-info":       boolean(func(c *Config, on bool) { c.HostCaches = on }),
})

// migratable says whether models that have everything leave out what keeps the guest from moving to another host. Others lack the property.
func migratable(c *Config, s string) error {
	if !c.Model.AllFeatures {
		return errAbsent
	}
	return boolean(leaveOut)(c, s)
}

func leaveOut(c *Config, on bool) {
	if c.supported != nil {
		c.Features.Set(FeatInvTSC, !on && c.supported.Has(FeatInvTSC))
		for w := range c.Features {
			unnamed := c.supported[w] &^ Words[w].named()
			if c.Features[w] &^= unnamed; !on {
				c.Features[w] |= unnamed
			}
		}
	}
}

// edit changes a copy of the model.
func (c *Config) edit(f func(*Model)) {
	m := *c.Model
	f(&m)
	c.Model = &m
}

func physBits(c *Config, n uint64) error {
	if n < 32 || n > 52 {
		return propError(fmt.Sprintf("phys-bits should be between 32 and 52  (but is %d)", n))
	}
	c.PhysBits = int(n)
	return nil
}

func vendor(c *Config, s string) error {
	if len(s) != 12 {
		return fmt.Errorf("Property '.vendor' doesn't take value '%s'", s)
	}
	c.edit(func(m *Model) { m.Vendor = s })
	return nil
}

// propError is an error whose text stands alone.
type propError string

func (e propError) Error() string { return string(e) }

// These are values of the wrong type, and a property that the model lacks; the texts need the name of the property.
var errNumber, errBool, errAbsent = errors.New("expects uint64"), errors.New("expects 'on' or 'off'"), errors.New("is absent")

func number(set func(*Config, uint64) error) func(*Config, string) error {
	return func(c *Config, s string) error {
		n, err := strconv.ParseUint(s, 0, 64)
		if err != nil {
			return errNumber
		}
		return set(c, n)
	}
}

func boolean(set func(*Config, bool)) func(*Config, string) error {
	return func(c *Config, s string) error {
		switch s {
		case "on", "yes", "true", "y":
			set(c, true)
		case "off", "no", "false", "n":
			set(c, false)
		default:
			return errBool
		}
		return nil
	}
}

// ParseOption reads the value of -cpu: a model and changes to it. supported is what the accelerator implements; acc is its name in
// warnings. Defaults come before the changes. The topology is the caller's to fill in.
func ParseOption(option string, supported *Features, acc string, defaults ...Default) (cfg *Config, warnings []string, err error) {
	return parseOption(option, supported, acc, nil, defaults)
}

// parseOption is ParseOption; host is nil for a translator.
func parseOption(option string, supported *Features, acc string, host *Host, defaults []Default) (cfg *Config, warnings []string, err error) {
	name, rest, _ := strings.Cut(option, ",")
	m := FindModel(name)
	if host != nil {
		m = host.Find(name)
	}
	if m == nil {
		return nil, nil, fmt.Errorf("unable to find CPU model '%s'", name)
	}
	cfg, missing := NewConfig(m, supported)
	cfg.Name = name
	want := cfg.Features
	for w := range want {
		want[w] |= missing[w]
	}
	cfg.Features = want
	cfg.supported = supported
	if host != nil {
		host.adjust(cfg)
	}
	if err := cfg.applyDefaults(name, defaults); err != nil {
		return nil, nil, err
	}
	ambiguous, err := cfg.applyAll(name, rest)
	if err != nil {
		return nil, nil, err
	}
	if err := cfg.expandHyperV(host); err != nil {
		return nil, ambiguous, err
	}
	cfg.finishKVM()
	cfg.dropDependent()
	cfg.raiseLevels()
	for w := range cfg.Features {
		absent := cfg.Features[w] &^ supported[w]
		cfg.Features[w] &^= absent
		cfg.Filtered[w] = absent
		for b := 0; absent>>b != 0; b++ {
			if absent>>b&1 != 0 {
				warnings = append(warnings, fmt.Sprintf("%s doesn't support requested feature: %s", acc, bitText(FeatureWord(w), b)))
			}
		}
	}
	cfg.finish()
	if cfg.enforce && len(warnings) > 0 {
		return nil, warnings, fmt.Errorf("%s doesn't support requested features", strings.ToUpper(acc[:1])+acc[1:])
	}
	if cfg.quiet {
		warnings = nil
	}
	return cfg, append(ambiguous, warnings...), nil
}

// Default is a value for a property of all CPUs of a type (-global, a machine's compatibility properties).
type Default struct {
	Type, Property, Value string
	Optional              bool // not an error if CPUs lack the property
}

// applyDefaults sets the defaults that concern CPUs of a model.
func (c *Config) applyDefaults(model string, defaults []Default) error {
	for _, d := range defaults {
		if d.Type != model+TypeSuffix && d.Type != "x86_64-cpu" && d.Type != "cpu" {
			continue
		}
		if _, feature := FeatureByName(d.Property); d.Optional && !feature && cpuProps[d.Property] == nil {
			continue
		}
		if err := c.apply(model, d.Property, d.Value); err != nil {
			return err
		}
	}
	return nil
}

// applyAll makes changes in QEMU's order: f=on and property=value, then all +f, then all -f. Mixed ones are worth a warning.
func (c *Config) applyAll(model, options string) (warnings []string, err error) {
	var given []string
	signed := map[byte][]string{}
	for opt := range strings.SplitSeq(options, ",") {
		if opt == "" {
			continue
		}
		if opt[0] == '+' || opt[0] == '-' {
			signed[opt[0]] = append(signed[opt[0]], opt[1:])
			continue
		}
		name, val, has := strings.Cut(opt, "=")
		if !has {
			val = "on"
		}
		name = strings.ReplaceAll(name, "_", "-")
		for _, sign := range []byte("-+") {
			if slices.Contains(signed[sign], name) {
				warnings = append(warnings, fmt.Sprintf("Ambiguous CPU model string. Don't mix both \"%c%s\" and \"%s=%s\"", sign, name, name, val))
			}
		}
		given = append(given, name, val)
	}
	for ; len(given) > 0; given = given[2:] {
		if err := c.apply(model, given[0], given[1]); err != nil {
			return nil, err
		}
	}
	for _, sign := range []byte("+-") {
		for _, name := range signed[sign] {
			f, ok := FeatureByName(name)
			if !ok {
				return nil, propertyNotFound(model, name)
			}
			c.Features.Set(f, sign == '+')
		}
	}
	return warnings, nil
}

func propertyNotFound(model, name string) error {
	return fmt.Errorf("Property '%s-x86_64-cpu.%s' not found", model, name)
}

// apply makes one change.
func (c *Config) apply(model, name, val string) error {
	var err error
	if f, ok := FeatureByName(name); ok {
		err = boolean(func(c *Config, on bool) { c.Features.Set(f, on) })(c, val)
	} else if set := cpuProps[name]; set != nil {
		err = set(c, val)
	} else {
		err = errAbsent
	}
	switch {
	case err == nil:
		return nil
	case err == errAbsent:
		err = propertyNotFound(model, name)
	case errors.As(err, new(propError)):
		return err
	case err == errNumber || err == errBool:
		err = fmt.Errorf("Parameter '%s' %w", name, err)
	}
	return fmt.Errorf("can't apply global %s-x86_64-cpu.%s=%s: %w", model, name, val, err)
}

// bitText names a feature bit as warnings do.
func bitText(w FeatureWord, bit int) string {
	i := &Words[w]
	s := fmt.Sprintf("CPUID.%02XH:%s", i.Leaf, [4]string{"EAX", "EBX", "ECX", "EDX"}[i.Reg])
	if n := i.Names[bit]; n != "" {
		s += "." + n
	}
	return fmt.Sprintf("%s [bit %d]", s, bit)
}
