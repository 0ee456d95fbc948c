"""The shop in the admin, to look at what the demo's runs have done."""

from __future__ import annotations

from django.contrib import admin

from project.shop.models import Mail, Order, OrderLine, Payment, Product, Shipment
from workflows_app.admin.linked import LinkedRunsMixin


class OrderLineInline(admin.TabularInline):
    model = OrderLine
    extra = 0


@admin.register(Order)
class OrderAdmin(LinkedRunsMixin, admin.ModelAdmin):
    list_display = ("id", "customer", "run_id", "created_at")
    search_fields = ("customer", "run_id")
    inlines = (OrderLineInline,)


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ("code", "price", "stock")
    search_fields = ("code",)


@admin.register(Payment)
class PaymentAdmin(admin.ModelAdmin):
    list_display = ("id", "order", "amount", "created_at")
    list_select_related = ("order",)


@admin.register(Shipment)
class ShipmentAdmin(admin.ModelAdmin):
    list_display = ("id", "order", "created_at")
    list_select_related = ("order",)


@admin.register(Mail)
class MailAdmin(admin.ModelAdmin):
    list_display = ("id", "recipient", "subject", "created_at")
