"""The demo's own tables: what the steps of `order-fulfillment` leave behind."""

from __future__ import annotations

from django.db import models

NAME_LENGTH = 200
KEY_LENGTH = 320


class Product(models.Model):
    """Something for sale. Whatever is ordered enters the catalogue, well stocked."""

    code = models.CharField(max_length=NAME_LENGTH, unique=True)
    price = models.PositiveIntegerField("price in cents", default=1_999)
    stock = models.PositiveBigIntegerField(default=1_000_000)

    def __str__(self) -> str:
        return self.code


class Order(models.Model):
    customer = models.CharField(max_length=NAME_LENGTH)
    run_id = models.CharField("run id", max_length=256, db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"order {self.pk} of {self.customer}"

    def total(self) -> int:
        """What the customer owes, in cents."""
        return sum(
            line.quantity * line.product.price for line in self.lines.select_related("product")
        )


class OrderLine(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="lines")
    quantity = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "product"], name="one_line_per_product"),
            models.CheckConstraint(
                condition=models.Q(quantity__gt=0), name="a_line_orders_something"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.product}"


class Payment(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="payments")
    amount = models.PositiveBigIntegerField("amount in cents")
    idempotency_key = models.CharField(max_length=KEY_LENGTH, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"payment {self.pk} for {self.order}"


class Shipment(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="shipments")
    idempotency_key = models.CharField(max_length=KEY_LENGTH, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"shipment {self.pk} of {self.order}"


class Mail(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="mails")
    recipient = models.CharField(max_length=NAME_LENGTH)
    subject = models.CharField(max_length=NAME_LENGTH)
    idempotency_key = models.CharField(max_length=KEY_LENGTH)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "mail"
        constraints = [
            models.UniqueConstraint(
                fields=["idempotency_key", "recipient"], name="one_mail_per_key_and_recipient"
            )
        ]

    def __str__(self) -> str:
        return f"{self.subject} to {self.recipient}"
