from django.apps import AppConfig


class A1111Config(AppConfig):
    name = "dialects.a1111"
    label = "a1111"
