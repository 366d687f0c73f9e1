package memstore_test

import (
	"testing"
	"testing/synctest"

	"github.com/gramme-project/gramme/internal/membership"
	"github.com/gramme-project/gramme/internal/membership/memstore"
	"github.com/gramme-project/gramme/internal/membership/storetest"
)

func TestConformance(t *testing.T) {
	for name, test := range storetest.Cases() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := memstore.New()
				test(t, func() (membership.Store, func()) {
					s := server.Connect()
					return s, s.Crash
				})
			})
		})
	}
	for name, test := range storetest.SharedCases() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := memstore.New()
				test(t, func() (membership.SharedStore, func()) {
					s := server.Connect()
					return s, s.Crash
				})
			})
		})
	}
}
