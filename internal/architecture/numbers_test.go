package architecture

import (
	"fmt"
	"go/ast"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// plainNumbers are files whose floats in JSON are plain ones, and why none of them can
// be NaN or an infinity.
var plainNumbers = map[string]string{
	"cmd/gramme-worker/predict.go": "logits: a text of which one is not finite is refused before",
	"runspec/spec.go":              "settings: Validate refuses what is not finite",
	"replica/model/config.go":      "settings: Validate refuses what is not finite",
	"energy/carbon.go":             "settings and tables: Validate refuses what is not finite",
	"trials/chaos/record.go":       "times of a clock and sums of integers, divided by constants",
	"trials/chaos/stats.go":        "quantiles of such times",
}

// TestMeasuredNumbersStandInJSON looks for floats in JSON that are not of package
// number. One that is not finite makes encoding/json refuse the whole document: a
// diverged run would have no status, no evaluation and no audit.
func TestMeasuredNumbersStandInJSON(t *testing.T) {
	tr := readTree(t, "../..")
	used := map[string]bool{}
	fields := 0
	for _, f := range tr.files {
		for _, found := range plainFloats(f.syntax, &fields) {
			if _, ok := plainNumbers[f.name]; ok {
				used[f.name] = true
				continue
			}
			t.Errorf("%s: %s is a plain float: take number.Float, or number.Optional where it may be unknown", f.name, found)
		}
	}
	if fields < 100 {
		t.Errorf("only %d fields with a name in JSON were looked at", fields)
	}
	for name := range plainNumbers {
		if !used[name] {
			t.Errorf("%s has no plain float in JSON: take it off the list", name)
		}
	}
}

// plainFloats are the fields with a name in JSON whose type has a plain float in it.
func plainFloats(syntax *ast.File, fields *int) (found []string) {
	ast.Inspect(syntax, func(n ast.Node) bool {
		s, ok := n.(*ast.StructType)
		if !ok {
			return true
		}
		for _, f := range s.Fields.List {
			if f.Tag == nil {
				continue
			}
			tag, err := strconv.Unquote(f.Tag.Value)
			name, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
			if err != nil || name == "" || name == "-" {
				continue
			}
			*fields++
			if hasFloat(f.Type) {
				found = append(found, fmt.Sprintf("field %q", name))
			}
		}
		return true
	})
	return found
}

func hasFloat(e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		if _, ok := n.(*ast.StructType); ok {
			return false // its fields are looked at by themselves
		}
		if i, ok := n.(*ast.Ident); ok {
			found = found || slices.Contains([]string{"float64", "float32"}, i.Name)
		}
		return true
	})
	return found
}

func TestPlainFloatsAreFound(t *testing.T) {
	tr := newTree()
	if err := tr.add("a.go", []byte("package a\ntype x struct {\n\tA float64 `json:\"a\"`\n\tB []float32 `json:\"b,omitempty\"`\n\tC map[string]*float64 `yaml:\"c\" json:\"c\"`\n"+
		"\tD number.Float `json:\"d\"`\n\tE float64\n\tF float64 `json:\"-\"`\n\tG struct{ H float64 `json:\"h\"` } `json:\"g\"`\n}\n")); err != nil {
		t.Fatal(err)
	}
	fields := 0
	if got := fmt.Sprint(plainFloats(tr.files[0].syntax, &fields)); got != `[field "a" field "b" field "c" field "h"]` || fields != 6 {
		t.Errorf("%s of %d", got, fields)
	}
}
