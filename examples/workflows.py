"""All examples, so that a project which has this package among its installed apps finds them."""

from examples import (
    ai_generation,
    article_publishing,
    auth_provider_webhook,
    clerk_webhook,
    coffee_shop,
    custom_retry_logic,
    customer_onboarding,
    dynamic_workflow,
    human_in_the_loop,
    image_processing,
    nightly_import,
    orchestrator_workers,
    order_fulfillment,
    order_processing,
    payment_retries,
    payment_webhook,
)

__all__ = [
    "ai_generation",
    "article_publishing",
    "auth_provider_webhook",
    "clerk_webhook",
    "coffee_shop",
    "custom_retry_logic",
    "customer_onboarding",
    "dynamic_workflow",
    "human_in_the_loop",
    "image_processing",
    "nightly_import",
    "orchestrator_workers",
    "order_fulfillment",
    "order_processing",
    "payment_retries",
    "payment_webhook",
]
