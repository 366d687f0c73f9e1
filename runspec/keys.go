package runspec

import (
	"encoding"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gramme-project/gramme/internal/suggest"
)

// Key is one configuration key.
type Key struct {
	Name     string // as in a file, nested keys joined by dots: batch.rows
	Doc      string
	Identity bool // determines the bits; fixed when the run begins
	// absent is the value of an identity key in the specs that were written before there
	// was that key; empty for keys that are in all of them.
	absent string
	index  []int
}

// Flag is the key's name on the command line, without the dashes.
func (k Key) Flag() string {
	if k.Name == "model.name" {
		return "model"
	}
	return strings.NewReplacer(".", "-", "_", "-").Replace(k.Name)
}

// Type names the type of the key's value, for help texts.
func (k Key) Type() string {
	t := reflect.TypeFor[Spec]().FieldByIndex(k.index).Type
	if t == reflect.TypeFor[time.Duration]() {
		return "duration"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "bool"
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return "int"
	case reflect.Float64:
		return "float"
	}
	return "string"
}

// Env is the key's name in the environment.
func (k Key) Env() string {
	return "GRAMME_" + strings.ToUpper(strings.ReplaceAll(k.Flag(), "-", "_"))
}

var allKeys = keysOf(reflect.TypeFor[Spec](), "", nil)

// Keys lists every key in the order of the struct.
func Keys() []Key { return slices.Clone(allKeys) }

func keysOf(t reflect.Type, prefix string, index []int) []Key {
	var keys []Key
	for f := range t.Fields() {
		name := prefix + f.Tag.Get("yaml")
		at := append(append([]int(nil), index...), f.Index...)
		if kind := f.Tag.Get("key"); kind != "" {
			keys = append(keys, Key{Name: name, Doc: f.Tag.Get("doc"), Identity: kind == "identity", absent: f.Tag.Get("absent"), index: at})
			continue
		}
		keys = append(keys, keysOf(f.Type, name+".", at)...)
	}
	return keys
}

// LookUp returns a key by its name. The group "model" stands for model.name.
func LookUp(name string) (Key, error) {
	if name == "model" {
		name = "model.name"
	}
	if i := slices.IndexFunc(allKeys, func(k Key) bool { return k.Name == name }); i >= 0 {
		return allKeys[i], nil
	}
	if near := nearest(name); near != "" {
		return Key{}, fmt.Errorf("unknown key %q: did you mean %q?", name, near)
	}
	return Key{}, fmt.Errorf("unknown key %q: `gramme config` lists all keys", name)
}

// texts returns the value of a key as a file would hold it; only lists have
// another number of texts than one.
func (k Key) texts(s *Spec) []string {
	v := reflect.ValueOf(s).Elem().FieldByIndex(k.index)
	switch x := v.Interface().(type) {
	case []string:
		return x
	case time.Duration:
		return []string{x.String()}
	case encoding.TextMarshaler:
		b, err := x.MarshalText()
		if err != nil {
			return []string{err.Error()}
		}
		return []string{string(b)}
	case float64:
		return []string{strconv.FormatFloat(x, 'g', -1, 64)}
	}
	return []string{fmt.Sprint(v.Interface())}
}

// Text returns the value of a key in one line.
func (s Spec) Text(k Key) string {
	return strings.Join(k.texts(&s), string(os.PathListSeparator))
}

// set reads texts into the key's field.
func (k Key) set(s *Spec, texts []string) error {
	v := reflect.ValueOf(s).Elem().FieldByIndex(k.index)
	if v.Kind() == reflect.Slice {
		v.Set(reflect.ValueOf(append([]string(nil), texts...)))
		return nil
	}
	if len(texts) != 1 {
		return fmt.Errorf("holds %d values, not one", len(texts))
	}
	text := strings.TrimSpace(texts[0])
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 30s or 5m", text)
		}
		v.SetInt(int64(d))
		return nil
	}
	return setScalar(v, text)
}

func setScalar(v reflect.Value, text string) error {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		v.SetInt(int64(n))
	case reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a whole number from 0 up", text)
		}
		v.SetUint(n)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return fmt.Errorf("%q is not a number", text)
		}
		v.SetFloat(f)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is not true or false", text)
		}
		v.SetBool(b)
	default:
		return fmt.Errorf("a key of kind %s cannot be set", v.Kind())
	}
	return nil
}

// nearest returns the key that was probably meant, if one was.
func nearest(name string) string {
	var names []string
	for _, k := range allKeys {
		// A nested key is often given without its group.
		names = append(names, k.Name, k.Name[strings.LastIndexByte(k.Name, '.')+1:])
	}
	if i := suggest.Nearest(name, names); i >= 0 {
		return allKeys[i/2].Name
	}
	return ""
}
